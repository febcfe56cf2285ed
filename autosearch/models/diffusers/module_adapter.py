"""Modules of another library seen as functions of one tensor, which is how sites are intercepted.

Those modules take their input under various names, some take two streams of tokens, and some
return tuples. An adapter packs the streams into one tensor and unpacks it again; only adapters that
something acts on in a call are in the way of that call.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from autosearch.diffusion.sites.swapped import swapped
from autosearch.errors import UserError

__all__ = ["ModuleAdapter", "bridge", "is_acting"]

_ATTENTION = ("query", "key", "value")
_OPTIONS = ("attn_mask", "dropout_p", "is_causal")


@dataclass(eq=False)
class ModuleAdapter:
    """One site's module as a function of one tensor.

    ``forward`` and ``attend`` are what :func:`autosearch.diffusion.sites.interception.intercepted`
    replaces, on the adapter and not on the module.

    Args:
        module: the site's.
        inputs: the arguments that hold its streams [N, tokens, width], the first being the main
            one. By default its first argument, of any shape.
        outputs: where each stream is in the tuple that it returns, None where it is not and its
            input goes on unchanged. By default it returns a plain tensor.
        size: length of that tuple; what is not a stream in it is None.
        changed: axis and length of an output that is as long as the input on all other axes.
            What acts on the site then sees a tensor of the output's shape in place of its input.
    """

    module: nn.Module
    _: KW_ONLY
    inputs: Sequence[str] = ()
    outputs: Sequence[int | None] | None = None
    size: int = 0
    changed: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self._names = [
            parameter.name
            for parameter in inspect.signature(type(self.module).forward).parameters.values()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ][1:]
        self.inputs = self.inputs or (self._names[0],)
        self._original: Callable[..., Any] = self.module.forward
        self._lengths: list[int] = []
        self._options: dict[str, Any] = {}
        self._attended = False

    def forward(self, hidden: Tensor, **others: Any) -> Tensor:
        """The module's output, its streams one after the other."""
        if self.changed is not None:
            return self._pack_output(self._original(**others), ())
        streams = self._unpack(hidden)
        given = dict(zip(self.inputs, streams, strict=True))
        return self._pack_output(self._original(**given, **others), streams)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention of each head, [N, heads, tokens, head_dim]."""
        return F.scaled_dot_product_attention(query, key, value, **self._options)

    def elements(self, args: Sequence[Any], kwargs: Mapping[str, Any], output: Any) -> int:
        """Numbers in the output of a call."""
        given = self._named(args, kwargs)
        return self._pack_output(output, [given[name] for name in self.inputs]).numel()

    def bridge(self) -> AbstractContextManager[None]:
        """Run the body with calls of the module going through the adapter."""
        self._original = self.module.forward
        return swapped(self.module, "forward", self._call_through)

    def _call_through(self, *args: Any, **kwargs: Any) -> Any:
        given = self._named(args, kwargs)
        streams = [given.pop(name) for name in self.inputs]
        self._lengths = [stream.shape[1] for stream in streams]
        if self.changed is not None:
            (stream,) = streams
            given[self.inputs[0]] = stream
            streams = [_expand(stream, *self.changed)]
        if "attend" in vars(self):
            output = self._attending(_pack(streams), given)
        else:
            output = self.forward(_pack(streams), **given)
        if self.outputs is None:
            return output
        result: list[Tensor | None] = [None] * self.size
        for place, stream in zip(self.outputs, self._unpack(output), strict=True):
            if place is not None:
                result[place] = stream
        return tuple(result)

    def _attending(self, hidden: Tensor, others: Mapping[str, Any]) -> Tensor:
        self._attended = False
        with _Attention(self):
            output = self.forward(hidden, **others)
        if not self._attended:
            raise UserError(
                "attention heads: this attention runs on a backend of its own, where heads cannot "
                "be perturbed; set the network's attention backend to 'native'"
            )
        return output

    def attended(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        """What stands in for a call of scaled dot-product attention."""
        self._attended = True
        given = {**dict(zip(_ATTENTION, args, strict=False)), **kwargs}
        query, key, value = (given.pop(name) for name in _ATTENTION)
        rest = dict(zip(_OPTIONS, args[len(_ATTENTION) :], strict=False))
        self._options = {**rest, **given}
        return self.attend(query, key, value)

    def _named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return {**dict(zip(self._names, args, strict=False)), **kwargs}

    def _pack_output(self, output: Any, streams: Sequence[Tensor]) -> Tensor:
        """One tensor out of what the module returns, from these inputs."""
        if self.outputs is None:
            tensor: Tensor = output
            return tensor
        return _pack(
            [
                stream if place is None else output[place]
                for place, stream in zip(self.outputs, streams, strict=True)
            ]
        )

    def _unpack(self, hidden: Tensor) -> Sequence[Tensor]:
        if len(self.inputs) == 1:
            return [hidden]
        return torch.split(hidden, self._lengths, dim=1)


class _Attention(TorchFunctionMode):
    """Sends scaled dot-product attention through an adapter's ``attend``."""

    def __init__(self, adapter: ModuleAdapter) -> None:
        super().__init__()
        self._adapter = adapter

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        return self._adapter.attended(args, kwargs or {})


def is_acting(adapter: ModuleAdapter) -> bool:
    """Whether something is to be done at a site in the call under way."""
    return not vars(adapter).keys().isdisjoint(("forward", "attend"))


@contextmanager
def bridge(adapters: Mapping[str, ModuleAdapter]) -> Iterator[None]:
    """Run the body with the modules where something acts called through their adapters."""
    with ExitStack() as stack:
        for adapter in adapters.values():
            if is_acting(adapter):
                stack.enter_context(adapter.bridge())
        yield


def _pack(streams: Sequence[Tensor]) -> Tensor:
    return streams[0] if len(streams) == 1 else torch.cat(list(streams), dim=1)


def _expand(stream: Tensor, axis: int, length: int) -> Tensor:
    """A view of another length along one axis, whose values mean nothing."""
    shape = list(stream.shape)
    shape[axis] = length
    return stream.narrow(axis, 0, 1).expand(shape)
