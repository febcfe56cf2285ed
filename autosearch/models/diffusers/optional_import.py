"""The optional libraries behind pipelines, imported when they are used."""

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from autosearch.errors import UserError

__all__ = ["diffusers", "diffusers_class", "quiet"]


def diffusers() -> Any:
    """The module ``diffusers``.

    Raises:
        UserError: where it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module("diffusers")
    except ImportError as error:
        raise UserError(
            f"diffusers models need a package that is missing ({error.name or error}); "
            "pip install 'autosearch[diffusers]'"
        ) from None


def diffusers_class(name: str) -> Any:
    """A class of diffusers, by name."""
    return getattr(diffusers(), name)


@contextmanager
def quiet() -> Iterator[None]:
    """Run the body without the libraries' progress bars and advice to their own users."""
    logs = [importlib.import_module("diffusers.utils.logging")]
    logs += [importlib.import_module("transformers.utils.logging")]
    shown = [log for log in logs if log.is_progress_bar_enabled()]
    levels = [log.get_verbosity() for log in logs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for log in logs:
            log.disable_progress_bar()
            log.set_verbosity_error()
        try:
            yield
        finally:
            for log, level in zip(logs, levels, strict=True):
                log.set_verbosity(level)
            for log in shown:
                log.enable_progress_bar()
