"""What a network is given besides the noisy samples and the time, for each branch.

Inputs are the network's own arguments by name: tensors with a row for each sample, dictionaries of
such, and what all samples share.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["ClassLabels", "Conditions", "Given", "Inputs", "Prompts", "join_inputs", "map_rows"]

Inputs = Mapping[str, Any]


class Conditions(ABC):
    """The network's inputs for each branch.

    Attributes:
        shared: names of the inputs that have no row for each sample.
    """

    shared: frozenset[str] = frozenset()

    @property
    @abstractmethod
    def modes(self) -> tuple[str, ...]:
        """What a branch may be given: ``cond``, and ``uncond`` where there is such a mode."""

    @abstractmethod
    def rows(self, mode: str, condition: Tensor | None) -> Inputs:
        """The inputs of N samples in one mode; ``condition`` [N] names them, where any do."""

    def to(self, device: torch.device) -> "Conditions":
        """The conditions with their tensors on another device."""
        return self


@dataclass(frozen=True)
class ClassLabels(Conditions):
    """Class labels; ``null`` stands for none. Labels are places in ``classes``."""

    classes: Sequence[int]
    null: int

    @property
    def modes(self) -> tuple[str, ...]:
        return ("cond", "uncond")

    def rows(self, mode: str, condition: Tensor | None) -> Inputs:
        assert condition is not None
        if mode == "uncond":
            return {"class_labels": torch.full_like(condition, self.null)}
        classes = torch.as_tensor(self.classes, device=condition.device)
        return {"class_labels": classes[condition]}


@dataclass(frozen=True)
class Given(Conditions):
    """Rows as they are, by mode, in the order of the samples."""

    inputs: Mapping[str, Inputs]
    shared: frozenset[str] = frozenset()

    @property
    def modes(self) -> tuple[str, ...]:
        return tuple(mode for mode in ("cond", "uncond") if mode in self.inputs)

    def rows(self, mode: str, condition: Tensor | None) -> Inputs:
        return self.inputs[mode]


@dataclass(frozen=True)
class Prompts(Given):
    """A row for each prompt, encoded once; labels name the prompts."""

    def rows(self, mode: str, condition: Tensor | None) -> Inputs:
        assert condition is not None
        inputs: Inputs = map_rows(lambda rows: rows[condition], self.inputs[mode], self.shared)
        return inputs

    def to(self, device: torch.device) -> "Prompts":
        moved = {
            mode: map_rows(lambda rows: rows.to(device), inputs)
            for mode, inputs in self.inputs.items()
        }
        return Prompts(moved, self.shared)


def map_rows(change: Callable[[Tensor], Tensor], inputs: Any, shared: Collection[str] = ()) -> Any:
    """Inputs with every tensor changed that has rows; all others stay as they are."""
    if isinstance(inputs, Mapping):
        return {
            name: value if name in shared else map_rows(change, value)
            for name, value in inputs.items()
        }
    if isinstance(inputs, list | tuple):
        return type(inputs)(map_rows(change, value) for value in inputs)
    return change(inputs) if isinstance(inputs, Tensor) and inputs.dim() else inputs


def join_inputs(
    parts: Sequence[Inputs], shared: Collection[str] = (), *, rows: int | None = None
) -> dict[str, Any]:
    """Join the inputs of several batches, one after the other.

    Args:
        parts: the inputs of each batch.
        shared: names of inputs without a row for each sample.
        rows: of each batch; tensors of another length have no row for each sample. None: all have.
    """
    if len(parts) == 1:
        return dict(parts[0])
    return {
        name: value if name in shared else _joined([part[name] for part in parts], rows)
        for name, value in parts[0].items()
    }


def _joined(values: Sequence[Any], rows: int | None) -> Any:
    """The same input of several batches as one."""
    first = values[0]
    if isinstance(first, Mapping):
        return join_inputs(values, rows=rows)
    if isinstance(first, list | tuple):
        return type(first)(_joined(parts, rows) for parts in zip(*values, strict=True))
    has_rows = isinstance(first, Tensor) and first.dim() and rows in (None, len(first))
    return torch.cat(list(values)) if has_rows else first
