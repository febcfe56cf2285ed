"""Drawing with matplotlib as it comes, whatever a notebook, a file of settings or a name says."""

import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

from autosearch.errors import UserError, one_line
from autosearch.text import for_people

__all__ = ["own_settings", "plain_text"]

# matplotlib's settings belong to the process; loggers draw in threads of their own.
_LOCK = threading.RLock()
_BACKEND = "MPLBACKEND"
# Settings that are no picture's, and that others may have chosen already.
_OTHERS = {
    "backend",
    "backend_fallback",
    "date.epoch",
    "docstring.hardcopy",
    "interactive",
    "savefig.directory",
    "timezone",
    "tk.window_focus",
    "toolbar",
}


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Matplotlib's own defaults in the body, or in a function that this decorates.

    Settings of the user (``matplotlibrc``, ``MPLBACKEND``, a style chosen elsewhere in the process)
    neither change pictures nor break them, and are there again afterwards. No backend is needed:
    figures are drawn by the one that their file's format has.

    Raises:
        UserError: in one line, for whatever goes wrong while drawing.
    """
    with _LOCK:
        try:
            matplotlib = _matplotlib()
            defaults = matplotlib.rcParamsDefault.items()
            with matplotlib.rc_context():
                matplotlib.rcParams.update(
                    {key: value for key, value in defaults if key not in _OTHERS}
                )
                yield
        except UserError:
            raise
        except Exception as error:  # a picture only adorns what was measured
            reason = one_line(f"{type(error).__name__}: {error}")
            raise UserError(f"picture: cannot be drawn: {reason}") from error


def _matplotlib() -> Any:
    """The library, whose import would fail on a backend's name that it does not know."""
    if "matplotlib" not in sys.modules:
        backend = os.environ.pop(_BACKEND, None)
        try:
            importlib.import_module("matplotlib")
        finally:
            if backend is not None:
                os.environ[_BACKEND] = backend
    return sys.modules["matplotlib"]


def plain_text(text: str) -> str:
    """A name as a label: without control characters, and never taken for a formula."""
    return for_people(text).replace("$", r"\$")
