"""What an experiment gives to any model: rewards, and the bounds of composite scores."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from autosearch.errors import UserError
from autosearch.models.base import Model
from autosearch.objectives import find
from autosearch.objectives.mmhm import BOUNDS
from autosearch.objectives.rewards import Reward, RewardObjective

__all__ = ["attach_bounds", "attach_rewards"]

_WHERE = "model.rewards"


def attach_rewards(model: Model, settings: Mapping[str, Any]) -> None:
    """Load what ``model: {rewards: {NAME: PATH, prompts: [...]}}`` asks for.

    Args:
        model: which then gives these rows too.
        settings: for each reward a path or a mapping of its settings, and ``prompts``, one for
            each class; those of a model that brings its own may be left out.

    Raises:
        UserError: for unknown rewards, prompts that are not one for each class, a model without
            images, and what cannot be loaded.
    """
    if not isinstance(settings, Mapping):
        raise UserError(f"{_WHERE}: expected a mapping such as {{clip_score: PATH}}")
    named = {name: value for name, value in settings.items() if name != "prompts"}
    prompts: list[str] = [*(settings.get("prompts") or model.prompts)]
    classes = model.denoiser.classes
    # A model that is asked in words knows its own; some of them are for validation only.
    own = bool(prompts) and prompts == [*model.prompts]
    if not classes or (len(prompts) != classes and not own):
        raise UserError(
            f"{_WHERE}.prompts: expected one for each of the model's {classes} classes, got "
            f"{len(prompts)}"
        )
    if type(model).images is Model.images:
        raise UserError(f"{_WHERE}: model {type(model).name!r} makes no images; leave it out")
    for name, value in named.items():
        kind = find(str(name), where=_WHERE)
        where = f"{_WHERE}.{name}"
        if not issubclass(kind, RewardObjective):
            raise UserError(f"{where}: {name!r} is no reward; its rows come with the model")
        given = value if isinstance(value, Mapping) else {"path": value}
        model.rewards[name] = _rows(kind.reward.load(given, where=where), prompts, model)


def attach_bounds(model: Model, settings: Mapping[str, Any]) -> None:
    """Freeze ``model: {bounds: {OBJECTIVE: [worst, best]}}`` for scores between bounds.

    Raises:
        UserError: for an unknown objective, or anything but two numbers.
    """
    where = "model.bounds"
    if not isinstance(settings, Mapping):
        raise UserError(f"{where}: expected a mapping such as {{fid: [0.3, 0.02]}}")
    frozen = {}
    for name, ends in settings.items():
        find(str(name), where=where)
        numbers = isinstance(ends, list) and len(ends) == 2
        if not numbers or not all(type(end) in (int, float) for end in ends):
            raise UserError(f"{where}.{name}: expected two numbers [worst, best], got {ends!r}")
        frozen[BOUNDS.format(name=name)] = np.array(ends, dtype=np.float64)
    model.reference = {**model.reference, **frozen}


def _rows(
    reward: Reward, prompts: Sequence[str], model: Model
) -> Callable[[Tensor, Tensor], NDArray[np.generic]]:
    """Scores [N] of final samples [N, *sample_shape] with labels [N]."""

    def rows(x: Tensor, labels: Tensor) -> NDArray[np.generic]:
        images = model.images(x)
        assert images is not None
        asked = [prompts[label] for label in labels.tolist()]
        return reward.score(images.cpu(), asked).double().cpu().numpy()

    return rows
