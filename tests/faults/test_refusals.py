"""A file system that refuses one call of any kind: one line or a warning, and nothing is lost."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.tally import count

from autosearch.errors import UserError
from autosearch.study.journal import FILE

CALLS = {
    "write": (os, "write"),
    "fsync": (os, "fsync"),
    "open": (os, "open"),
    "utime": (os, "utime"),
    "write_bytes": (Path, "write_bytes"),
    "replace": (Path, "replace"),
    "mkdir": (Path, "mkdir"),
    "unlink": (Path, "unlink"),
}
ERRORS = (errno.EIO, errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.ESTALE)


def refusing(call: Callable[..., Any], *, folder: Path, number: int, code: int) -> Any:
    """A call that fails once, when it is made for the so manyeth time in a folder."""
    seen = 0

    def act(place: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal seen
        path = os.readlink(f"/proc/self/fd/{place}") if isinstance(place, int) else str(place)
        if path.startswith(str(folder)):
            seen += 1
            if seen == number:
                raise OSError(code, os.strerror(code), path)
        return call(place, *arguments, **options)

    return act


def refused(calibrator, monkeypatch, name: str, number: int, code: int) -> None:
    owner, attribute = CALLS[name]
    calibrator.evaluator.finished.clear()
    folder, said = calibrator.folder / "hurt", []
    with monkeypatch.context() as patch:
        act = refusing(getattr(owner, attribute), folder=folder, number=number, code=code)
        patch.setattr(owner, attribute, act)
        try:
            calibrator.run()
        except UserError as error:
            said.append(str(error))
    assert all("\n" not in line and str(calibrator.folder) in line for line in said)
    calibrator.run()
    calibrator.check(lost=1)
    assert (folder / FILE).exists()
    shutil.rmtree(folder)
    count("calls that the file system refused")


@pytest.mark.parametrize(
    ("name", "number", "code"), [("write", 12, errno.EIO), ("write_bytes", 3, errno.ENOSPC)]
)
def test_a_call_that_is_refused(calibrator, monkeypatch, name, number, code):
    refused(calibrator, monkeypatch, name, number, code)


@pytest.mark.soak
@pytest.mark.parametrize("code", ERRORS)
@pytest.mark.parametrize("name", CALLS)
def test_any_call_that_is_refused(calibrator, monkeypatch, name, code):
    for number in (1, 2, 5, 17):
        refused(calibrator, monkeypatch, name, number, code)
