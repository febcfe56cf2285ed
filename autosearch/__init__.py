"""Search for the best trade-offs between quality and cost of sampling from a diffusion model."""

from typing import Any

from autosearch.errors import UserError

__all__ = ["RecipeScheduler", "UserError", "__version__", "apply", "remove", "study_frame"]

__version__ = "0.1.0"

_LAZY = {
    "apply": "autosearch.export.apply.apply",
    "remove": "autosearch.export.apply.apply",
    "study_frame": "autosearch.integrations.pandas",
    # Saved pipelines name their scheduler by this package and its class.
    "RecipeScheduler": "autosearch.export.apply.scheduler",
}


def __getattr__(name: str) -> Any:
    """What needs diffusers, or seconds to import, once it is asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    if name == "RecipeScheduler":  # without diffusers, one line that says what to install
        import_module("autosearch.models.diffusers.optional_import").diffusers()
    return getattr(import_module(_LAZY[name]), name)
