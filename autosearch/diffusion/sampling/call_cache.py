"""A cache of network outputs: a plan whose first steps equal an earlier plan's reuses its calls.

The solver between two calls is cheap, so a plan is always run from its start; where a call of the
network was made before, from the same noise, its outputs come from the cache. The state that a plan
goes on from, solver history of any length included, is then the very one that it would have alone,
bit for bit, as long as the same batch gives the same numbers again.

Features that later steps look up belong to a call's record too. One that lacks them is no use to a
plan that will look there; it is to a plan whose next look goes to a later call.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from autosearch.diffusion.sampling.call_keys import Call
from autosearch.diffusion.sites.memory import FeatureMemory, Passed, Put, RecordingMemory

__all__ = ["AUTO_BYTES", "CachedCall", "CallCache", "Keep", "Recaller", "make_call_cache"]

# ``off``, ``auto``, or the most bytes for each worker.
Keep = Literal["auto", "off"] | int

AUTO_BYTES = 512 * 2**20
# With ``auto``, what a record may take, as a multiple of the batch of samples that it is of.
_WIDEST = 8.0

Outputs = dict[str, Tensor]
# A call of the network, with the memory that it is to use.
Run = Callable[[FeatureMemory | None], Outputs]


@dataclass(frozen=True)
class CachedCall:
    """The result of one call of the network.

    Attributes:
        outputs: predictions [N, *sample_shape] by branch.
        features: what the call stored, by the name of the feature.
        passed: what its gates decided.
        macs: multiply-accumulates that the batch took.
    """

    outputs: Mapping[str, Tensor]
    features: Mapping[str, tuple[Put, ...]]
    passed: tuple[Passed, ...]
    macs: int

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return _nbytes(self.outputs.values()) + _nbytes(self.stored)

    @property
    def stored(self) -> list[Tensor]:
        """The tensors beside the outputs."""
        puts = [put for entries in self.features.values() for put in entries]
        rows = [put.rows for put in puts if put.rows is not None]
        return [*(put.feature for put in puts), *rows, *(one.mask for one in self.passed)]

    def on(self, device: torch.device, features: Collection[str]) -> "CachedCall":
        """A copy on a device that nobody else holds, with those of the features."""
        return replace(
            self,
            outputs={name: _copy(output, device) for name, output in self.outputs.items()},
            features={
                name: tuple(_put(put, device) for put in puts)
                for name, puts in self.features.items()
                if name in features
            },
            passed=tuple(one._replace(mask=_copy(one.mask, device)) for one in self.passed),
        )


@dataclass(eq=False)
class CallCache:
    """Records by call and batch, at most ``max_bytes`` of them: the least recently used go first.

    They are copies, in the host's memory.

    Attributes:
        widest: the most that a record may take, as a multiple of the samples' bytes: what is
            larger loses its features, then is not kept at all. None: no such limit.
        nbytes: bytes held now.
    """

    max_bytes: int
    widest: float | None = None
    nbytes: int = field(init=False, default=0)
    _records: OrderedDict[object, CachedCall] = field(init=False, default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._records)

    def find(self, key: object) -> CachedCall | None:
        """The record of a key, which counts as used now."""
        record = self._records.get(key)
        if record is not None:
            self._records.move_to_end(key)
        return record

    def keep(self, key: object, record: CachedCall) -> None:
        """Keep a record, with the features of an earlier one of the same call, if it fits."""
        earlier = self._drop(key)
        whole = record
        if earlier is not None:
            whole = replace(record, features={**earlier.features, **record.features})
        fitting = self._fitting(whole, record)
        if fitting is None:
            return
        self._records[key] = fitting.on(torch.device("cpu"), fitting.features)
        self.nbytes += fitting.nbytes
        while self.nbytes > self.max_bytes:
            self._drop(next(iter(self._records)))

    def clear(self) -> None:
        """Drop all records."""
        self._records.clear()
        self.nbytes = 0

    def _fitting(self, whole: CachedCall, record: CachedCall) -> CachedCall | None:
        """The most of it that may be kept."""
        sample = next(iter(record.outputs.values()))
        limits = [float(self.max_bytes)]
        limits += [] if self.widest is None else [self.widest * _nbytes([sample])]
        for part in (whole, record, replace(record, features={})):
            if part.nbytes <= min(limits):
                return part
        return None

    def _drop(self, key: object) -> CachedCall | None:
        record = self._records.pop(key, None)
        if record is not None:
            self.nbytes -= record.nbytes
        return record


def make_call_cache(keep: Keep) -> CallCache | None:
    """The cache that a setting asks for; None where it is off.

    A number of bytes is for records of any size: whoever names it knows what they have.
    """
    if keep == "off":
        return None
    if keep == "auto":
        return CallCache(AUTO_BYTES, widest=_WIDEST)
    return CallCache(keep)


@dataclass(eq=False)
class Recaller:
    """Stands between one run of a plan and the network.

    Attributes:
        calls: those that the plan makes.
        batch: everything that decides a call's result beside the plan: noise, condition, model;
            hashable.
        device: where the network wants its memory, and its outputs are wanted.
        avoided: multiply-accumulates of the calls that were not made.
    """

    store: CallCache
    calls: Sequence[Call]
    batch: object
    _: KW_ONLY
    device: torch.device
    avoided: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        records = [self.store.find(self._key(call)) for call in self.calls]
        self._left = deque(zip(self.calls, _usable(self.calls, records), strict=True))

    def __call__(self, run: Run, memory: FeatureMemory | None) -> Outputs:
        """The outputs of the next call, cached or made; changes the memory as the call does."""
        call, record = self._left.popleft()
        if record is None:
            return self._make(call, run, memory)
        self.avoided += record.macs
        given = record.on(self.device, () if memory is None else memory.keep)
        if memory is not None:
            _repeat(given, memory)
        return dict(given.outputs)

    def _make(self, call: Call, run: Run, memory: FeatureMemory | None) -> Outputs:
        recording = None if memory is None else RecordingMemory(memory)
        outputs = run(recording)
        changes = () if recording is None else recording.changes
        try:
            self.store.keep(self._key(call), _record(call, outputs, changes))
        except (MemoryError, RuntimeError) as error:
            # What torch says when the host has no room is a RuntimeError like any other.
            if isinstance(error, RuntimeError) and "allocate" not in str(error):
                raise
            self.store.clear()
        return outputs

    def _key(self, call: Call) -> object:
        return call.key, self.batch


def _usable(calls: Sequence[Call], records: Sequence[CachedCall | None]) -> list[CachedCall | None]:
    """The records that can be used: those with all that the calls which are made will look up."""
    missing: list[set[str]] = [set() for _ in calls]
    chosen: list[CachedCall | None] = [None] * len(calls)
    for index in reversed(range(len(calls))):
        record = records[index]
        if record is not None and missing[index] <= record.features.keys():
            chosen[index] = record
            continue
        for earlier, feature in calls[index].looks:
            missing[earlier].add(feature)
    return chosen


def _record(call: Call, outputs: Outputs, changes: Sequence[Put | Passed]) -> CachedCall:
    features: dict[str, list[Put]] = {name: [] for name in call.wanted}
    for put in changes:
        if isinstance(put, Put) and put.name in features:
            features[put.name].append(put)
    passed = tuple(one for one in changes if isinstance(one, Passed))
    count = len(next(iter(outputs.values())))
    left_out = sum(one.saves * int(one.mask.sum()) for one in passed)
    return CachedCall(
        outputs,
        {name: tuple(puts) for name, puts in features.items()},
        passed,
        call.macs * count - left_out,
    )


def _repeat(record: CachedCall, memory: FeatureMemory) -> None:
    """Change the memory as the call did."""
    for put in (put for puts in record.features.values() for put in puts):
        memory.put(put)
    for one in record.passed:  # plans without gates have other keys
        memory.passed(*one)


def _put(put: Put, device: torch.device) -> Put:
    rows = None if put.rows is None else _copy(put.rows, device)
    return put._replace(feature=_copy(put.feature, device), rows=rows)


def _copy(tensor: Tensor, device: torch.device) -> Tensor:
    """Its axes in memory as they were: other strides may mean other kernels."""
    return tensor.to(device=device, copy=True)


def _nbytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
