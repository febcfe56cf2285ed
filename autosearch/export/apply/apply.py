"""Running a recipe in somebody's own pipeline, and taking it out again."""

import copy
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.stepper import StepNoise
from autosearch.diffusion.sites.swapped import swapped
from autosearch.errors import UserError
from autosearch.export.apply.arguments import CallArguments
from autosearch.export.apply.owned_call import Call, own_call, owner, release_call
from autosearch.export.apply.run import Run, denoiser_of
from autosearch.models.diffusers.optional_import import diffusers
from autosearch.recipe import Recipe

__all__ = ["apply", "remove"]

# Runs of one network come one after the other, whichever pipelines and threads ask for them.
_LOCKS: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()
_LOCKS_LOCK = threading.Lock()


def apply(
    recipe: Recipe | Mapping[str, Any] | str | Path,
    pipeline: Any,
    *,
    step_noise: StepNoise | None = None,
) -> Any:
    """Make a pipeline of diffusers sample as a recipe says: times, solver, sites and guidance.

    From then on, calls of the pipeline run the recipe: the number of steps and the scale of
    guidance that they are given are ignored. Where the recipe guides without the condition, the
    pipeline must be called so that it prepares for that, with a ``guidance_scale`` above 1. For the
    length of a call the pipeline's scheduler is another one, and its network's ``forward``; between
    calls everything stands as it was, but for ``__call__`` itself, which :func:`remove` gives back.
    Other pipelines with the same network are not concerned.

    Args:
        recipe: a recipe, its plain data, or the path of its file.
        pipeline: of a kind that is supported; changed in place.
        step_noise: gives the noise [N, *sample_shape] of step k >= 1 of stochastic recipes; by
            default it is drawn as the pipeline draws its own, from the call's generators.

    Returns:
        The pipeline.

    Raises:
        UserError: for an unsupported pipeline, or a recipe that does not fit its model.
    """
    diffusers()
    network = _network(pipeline)
    remove(pipeline)
    read = _recipe(recipe)
    denoiser = denoiser_of(network, pipeline.scheduler)
    compile_recipe(read, denoiser)
    own_call(pipeline, _Applied(read, step_noise))
    return pipeline


def remove(pipeline: Any) -> Any:
    """Undo :func:`apply`; a pipeline without a recipe stays as it is. Returns the pipeline."""
    if isinstance(owner(pipeline), _Applied):
        release_call(pipeline)
    return pipeline


class _Applied:
    """A recipe that a pipeline's calls run."""

    def __init__(self, recipe: Recipe, step_noise: StepNoise | None) -> None:
        self._recipe = recipe
        self._step_noise = step_noise

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Applied":
        return copy.copy(self)

    def __call__(
        self, pipeline: Any, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """One call of the pipeline: everything is put in at its start and back at its end."""
        network = _network(pipeline)
        arguments = CallArguments.of(type(pipeline).__call__, args, kwargs)
        arguments.check()
        with _lock_of(network), ExitStack() as swaps:
            run = Run(self._recipe, pipeline, network, arguments, self._step_noise)
            swaps.enter_context(swapped(network, "forward", run.forward))
            swaps.enter_context(swapped(pipeline, "scheduler", run.scheduler))
            return call(*args, **kwargs)


def _lock_of(network: nn.Module) -> Any:
    with _LOCKS_LOCK:
        return _LOCKS.setdefault(network, threading.RLock())


def _recipe(recipe: Recipe | Mapping[str, Any] | str | Path) -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    return Recipe.load(Path(recipe)) if isinstance(recipe, str | Path) else Recipe.from_dict(recipe)


def _network(pipeline: Any) -> nn.Module:
    for name in ("transformer", "unet"):
        network = getattr(pipeline, name, None)
        if isinstance(network, nn.Module):
            _check_network(network)
            return network
    raise UserError(
        f"apply: {type(pipeline).__name__} has no transformer and no unet; give a pipeline of "
        "diffusers"
    )


def _check_network(network: nn.Module) -> None:
    """Refuse networks in which nothing can be reached, or where another tool leaves things out."""
    if hasattr(network, "_orig_mod") or getattr(network, "_compiled_call_impl", None) is not None:
        raise UserError(
            "apply: the network is compiled as a whole, where nothing inside it can be reached; "
            "apply the recipe to the plain network"
        )
    if getattr(network, "is_cache_enabled", False):
        raise UserError(
            "apply: a cache of diffusers is enabled on this network; call its disable_cache() first"
        )
    if getattr(network, "_is_cached", False):
        raise UserError(
            "apply: cache-dit is enabled on this network; call cache_dit.disable_cache first"
        )
