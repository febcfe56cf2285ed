"""Calls of a network by its pipeline, taken apart: the state, and what each mode is given."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autosearch.models.diffusers.conditions import Given, Inputs, map_rows
from autosearch.models.diffusers.families import PipelineFamily

__all__ = ["NetworkCall"]

_TIME = "timestep"


@dataclass(frozen=True)
class NetworkCall:
    """One call of a network.

    Attributes:
        state: [rows, ...] as given, both halves of a doubled batch.
        inputs: everything else but the time, by name.
        as_tuple: whether the caller wants a tuple back.
    """

    family: PipelineFamily
    state: Tensor
    inputs: Inputs
    as_tuple: bool

    @classmethod
    def of(
        cls,
        network: nn.Module,
        family: PipelineFamily,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> "NetworkCall":
        """Take apart a call of the network with these arguments."""
        names = list(inspect.signature(type(network).forward).parameters)[1:]
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        state = given.pop(family.state)
        given.pop(_TIME, None)
        as_tuple = not given.pop("return_dict", True)
        return cls(family, state, given, as_tuple)

    def doubled(self, guided: bool | None) -> bool:
        """Whether the batch holds each sample twice, for classifier-free guidance.

        Args:
            guided: what the pipeline, or what it was called with, says; of those that say nothing
                both halves are compared.
        """
        if not self.family.guided or len(self.state) % 2:
            return False
        if guided is None:
            first, second = self.state.chunk(2)
            return torch.equal(first, second)
        return guided

    def conditions(self, *, doubled: bool) -> Given:
        """What the modes are given; ``uncond`` only where the batch is doubled."""
        shared = self.family.shared
        if not doubled:
            return Given({"cond": self.inputs}, shared)
        order = ("cond", "uncond") if self.family.cond_first else ("uncond", "cond")
        half = len(self.state) // 2
        parts = (slice(None, half), slice(half, None))
        halves = {
            mode: map_rows(
                lambda rows, part=part: rows[part] if len(rows) == 2 * half else rows,  # type: ignore[misc]
                self.inputs,
                shared,
            )
            for mode, part in zip(order, parts, strict=True)
        }
        return Given(halves, shared)
