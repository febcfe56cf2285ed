"""What is trained before a pruned recipe is sampled."""

from typing import Annotated

from pydantic import Field

from autosearch.recipe.schema import Strict

__all__ = ["Recovery"]


class Recovery(Strict):
    """A short fine-tune of what pruning leaves of a network, on what the whole network says.

    Attributes:
        steps: of training.
        rate: the learning rate at first.
        seed: of everything random in it.
        rank: of the updates of the linear maps, which are trained alone; None: all weights are.
    """

    steps: Annotated[int, Field(ge=1, le=1_000_000)]
    rate: Annotated[float, Field(gt=0, le=1)]
    seed: Annotated[int, Field(ge=0, lt=10**9)] = 0
    rank: Annotated[int, Field(ge=1, le=1024)] | None = None
