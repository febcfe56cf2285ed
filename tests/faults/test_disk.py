"""A disk that is full, slow to say so, or gives back other bytes than it was given."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from support.soaked import soaked
from support.tally import count

from autosearch.cli import app as app_module
from autosearch.errors import UserError
from autosearch.study.journal import FILE, read_journal
from autosearch.study.study import Study

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
HOW = ("clean", "short", "stuck", "flush")


def fill(patch: pytest.MonkeyPatch, path: Path, number: int, how: str) -> None:
    """Let the disk fill at a journal's line ``number``, counted from where it is now."""
    write, seen = os.write, 0

    def full(descriptor: int, data: bytes) -> int:
        nonlocal seen
        if not path.exists() or not os.path.sameopenfile(descriptor, _opened(path)):
            return write(descriptor, data)
        seen += 1
        if seen < number:
            return write(descriptor, data)
        if how in ("short", "stuck") and seen == number:
            return write(descriptor, data[: len(data) // 2])
        raise FULL

    def refuse(*arguments: object) -> None:
        raise FULL

    patch.setattr(os, "write", full)
    if how == "stuck":  # part of a line stays behind
        patch.setattr(os, "ftruncate", refuse)
    if how == "flush":
        patch.setattr(os, "fsync", refuse)


_descriptors: dict[Path, int] = {}


def _opened(path: Path) -> int:
    if path not in _descriptors:
        _descriptors[path] = os.open(path, os.O_RDONLY)
    return _descriptors[path]


@pytest.fixture(autouse=True)
def _closed() -> object:
    yield
    for descriptor in _descriptors.values():
        os.close(descriptor)
    _descriptors.clear()


def filled(calibrator, monkeypatch: pytest.MonkeyPatch, number: int, how: str) -> None:
    name = f"{how}{number}"
    calibrator.evaluator.finished.clear()
    with monkeypatch.context() as patch:
        fill(patch, calibrator.journal(name), number, how)
        message = calibrator.refusal(name)
    assert (
        f"{calibrator.journal(name)}: cannot write the journal: No space left on device" in message
    )
    calibrator.run(name)
    calibrator.check(name)
    count("disks that were full")
    shutil.rmtree(calibrator.folder / name)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("number", soaked([17, 3], but=1))
def test_a_disk_that_fills(calibrator, monkeypatch, number, how):
    filled(calibrator, monkeypatch, number, how)


@pytest.mark.soak
@pytest.mark.parametrize("how", HOW)
def test_a_disk_that_fills_at_any_line(calibrator, monkeypatch, undisturbed, how):
    lines = len(read_journal(undisturbed))
    for number in range(1, lines):  # the first line is written in another way
        filled(calibrator, monkeypatch, number, how)


def test_a_disk_that_is_full_from_the_start(calibrator, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise FULL

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        assert "cannot write the journal: No space left" in calibrator.refusal()
    assert not calibrator.journal().exists()
    calibrator.run()
    calibrator.check()


def test_a_store_that_cannot_be_written_costs_one_warning(calibrator, monkeypatch, caplog):
    def refuse(*arguments: object) -> None:
        raise FULL

    monkeypatch.setattr(Path, "write_bytes", refuse)
    calibrator.run()
    calibrator.check()
    said = [record for record in caplog.records if "cannot be used as a store" in record.message]
    assert len(said) == 1


def test_commands_say_in_one_line_that_the_disk_is_full(monkeypatch, capsys, tmp_path):
    def refuse(directory: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory / "front.png"))

    monkeypatch.setattr(Study, "read", refuse)
    assert app_module.main(["front", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert f"{tmp_path}/front.png: No space left on device" in said.err


# -- lines that are not what was written --------------------------------------------------------


def harmed(lines: list[bytes], k: int, how: str, foreign: list[bytes]) -> list[bytes]:
    """The lines with harm done to number ``k``."""
    line = lines[k]
    return {
        "torn": [*lines[:k], line[: len(line) // 2]],
        "zeros": [*lines[:k], bytes(len(line))],
        "truncated": lines[:k],
        "cut inside": [*lines[:k], line[: len(line) // 2], *lines[k + 1 :]],
        "changed": [*lines[:k], line.replace(b'"type"', b'"tyqe"', 1), *lines[k + 1 :]],
        "duplicated": [*lines[:k], line, line, *lines[k + 1 :]],
        "foreign": [*lines[:k], foreign[k], *lines[k + 1 :]],
        "added": [*lines[:k], b"hello\n", *lines[k:]],
        "lost": [*lines[:k], *lines[k + 1 :]],
        "swapped": [*lines[:k], *lines[k : k + 2][::-1], *lines[k + 2 :]],
    }[how]


# Harm at the end is what a crash leaves; anywhere else somebody must decide.
ENDS = ("torn", "zeros", "truncated")
MIDDLES = ("cut inside", "changed", "duplicated", "foreign", "added", "lost", "swapped")


def mended(calibrator, undisturbed: Path, other: Path, k: int, how: str) -> None:
    """Do harm, follow what the message advises, and end where it would have ended."""
    lines = (undisturbed / FILE).read_bytes().splitlines(keepends=True)
    foreign = (other / FILE).read_bytes().splitlines(keepends=True)
    directory = calibrator.folder / "harmed"
    directory.mkdir()
    path = directory / FILE
    path.write_bytes(b"".join(harmed(lines, k, how, foreign)))
    calibrator.evaluator.finished.clear()
    if how in MIDDLES:
        message = calibrator.refusal("harmed")
        at = k + 1 + (how == "duplicated")
        assert f"{path}, line {at}: " in message
        assert f"cut the file to its first {at - 1} lines and --resume" in message
        kept = path.read_bytes().splitlines(keepends=True)[: at - 1]
        path.write_bytes(b"".join(kept))
    calibrator.run("harmed")
    calibrator.check("harmed")
    count("journals that were harmed")
    shutil.rmtree(directory)


@pytest.fixture
def other(calibrator, tmp_path: Path) -> Path:
    """Another study of the same experiment."""
    calibrator.run("other")
    return tmp_path / "other"


@pytest.mark.parametrize("how", [*ENDS, *MIDDLES])
def test_a_line_that_is_not_what_was_written(calibrator, undisturbed, other, how):
    mended(calibrator, undisturbed, other, 12, how)


@pytest.mark.soak
@pytest.mark.parametrize("how", [*ENDS, *MIDDLES])
def test_any_line_that_is_not_what_was_written(calibrator, undisturbed, other, how):
    count = len(read_journal(undisturbed))
    for k in range(1, count - (how in ("lost", "swapped", "cut inside"))):
        mended(calibrator, undisturbed, other, k, how)


def test_a_journal_of_nothing_says_so(calibrator):
    calibrator.journal().parent.mkdir()
    calibrator.journal().write_bytes(b"")
    assert "holds no header line; start again with another --out" in calibrator.refusal()
    with pytest.raises(UserError, match="no header line"):
        read_journal(calibrator.folder / "hurt")
