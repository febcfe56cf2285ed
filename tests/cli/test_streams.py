"""Readers that leave, full disks, closed descriptors, encodings: none of them ends a search."""

import errno
import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from support.soaked import soaked

from autosearch.cli import main
from autosearch.cli.streams import TolerantStream
from autosearch.study.progress import unfinished
from autosearch.study.study import Study
from autosearch.text import for_people, one_word

# A search of a second that says a line at each result.
RUN = (
    f"{sys.executable} -c 'import sys, autosearch.cli.progress as p; p._PLAIN_EVERY = 0; "
    "import autosearch.engine.session as s; s._SHOW_EVERY = s._SHOW_SHARE = 0; "
    "from autosearch.cli import main; sys.exit(main(sys.argv[1:]))' "
    "run mixture --workers 1 --budget 12 --set samples=100 --set validation.samples=200 "
    "--set 'space.timesteps.steps=[2,3]' --set 'baselines=[ddim@2,ddim@3]' --out study"
)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "AUTOSEARCH_EXECUTOR": "inprocess"}


def shell(command: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**ENVIRONMENT, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120,
    )


@pytest.mark.soak
@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (f"{RUN} 2>&1 | head -5; exit ${{PIPESTATUS[0]}}", 1, ""),
        (f"{RUN} 2> >(head -1) >out", 0, ""),
        (f"{RUN} 2>/dev/full", 0, ""),
        (f"{RUN} >/dev/full", 1, "standard output cannot be written: No space left"),
        (f"{RUN} >&-", 0, ""),
        (f"{RUN} 2>&-", 0, ""),
        (f"{RUN} >&- 2>&- <&-", 0, ""),
        (f"PYTHONIOENCODING=ascii {RUN}", 0, ""),
        (f"PYTHONIOENCODING=latin1 {RUN}", 0, ""),
        (f"PYTHONIOENCODING=utf-16 {RUN} 2>/dev/null", 0, ""),
        (f"LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 {RUN}", 0, ""),
    ],
)
def test_the_search_goes_on(tmp_path: Path, command: str, code: int, said: str) -> None:
    done = shell(command, tmp_path)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "Exception ignored" not in done.stdout + done.stderr
    assert said in done.stderr
    study = Study.read(tmp_path / "study")
    assert unfinished(study) is None
    assert (tmp_path / "study" / "front.json").exists()


@pytest.mark.soak
def test_an_interrupt_that_the_caller_ignores_is_ignored(tmp_path: Path) -> None:
    done = shell(f"trap '' INT; {RUN} & sleep 3; kill -INT $!; wait $!", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "stopping" not in done.stderr
    assert unfinished(Study.read(tmp_path / "study")) is None


class Broken(io.StringIO):
    """Refuses everything."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.EBADF, "Bad file descriptor"),
        ValueError("I/O operation on closed file"),
    ],
)
def test_failures_are_remembered(error: Exception) -> None:
    stream = TolerantStream(Broken(error))
    print("text", file=stream, flush=True)
    assert stream.failure is error
    assert not stream.isatty()


def test_what_an_encoding_lacks_is_escaped() -> None:
    raw = io.BytesIO()
    stream = TolerantStream(io.TextIOWrapper(raw, encoding="latin-1"))
    print("± ▁ \udcff", file=stream, flush=True)
    assert raw.getvalue() == b"\xb1 \\u2581 \\udcff\n"
    assert stream.failure is None


def test_no_stream_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["list", "experiments"]) == 0
    assert main(["frnt"]) == 2
    assert sys.stdout is None


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_full_disk_below_either_stream(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, stream, Broken(OSError(errno.ENOSPC, "No space left on device")))
    assert main(["list", "experiments"]) == (1 if stream == "stdout" else 0)
    assert main(["frnt"]) == 2


def test_a_closed_descriptor_is_taken_before_a_file_gets_its_number(tmp_path: Path) -> None:
    code = (
        "import os, sys; from autosearch.cli import main; code = main(['list', 'experiments']);"
        "file = open('first', 'w'); sys.exit(code or file.fileno() < 3)"
    )
    done = shell(f'{sys.executable} -c "{code}" >&- 2>&- <&-', tmp_path)
    assert done.returncode == 0


@pytest.mark.parametrize(
    "odd",
    soaked(
        [
            {"COLUMNS": "1", "LINES": "1", "TERM": "dumb"},
            {"COLUMNS": "0"},
            {"COLUMNS": "x"},
            {"COLUMNS": "1", "LINES": "1"},
            {"TERM": "dumb"},
            {"TERM": ""},
        ],
        but=1,
    ),
)
def test_odd_terminals(odd: dict[str, str], tmp_path: Path) -> None:
    code = (
        "from autosearch.cli.progress import make_progress;"
        "from autosearch.study.progress import Snapshot;"
        "p = make_progress(); assert 'Live' in type(p).__name__; p.start();"
        "p.update(Snapshot('search', 3, volumes=(0.1, 0.2), elapsed=3.0));"
        "p.message('one'); p.stop()"
    )
    leader, follower = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**ENVIRONMENT, "FORCE_COLOR": "3", **odd},
            stderr=follower,
            stdout=subprocess.DEVNULL,
            check=False,
            timeout=60,
        )
        said = os.read(leader, 100_000).decode()
    finally:
        os.close(leader)
        os.close(follower)
    assert done.returncode == 0, said
    assert "Traceback" not in said


# -- what is shown -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ± ▁, 中\n\ttab", "plain ± ▁, 中\n\ttab"),
        ("\x1b]0;title\x07\x1b[31mred", r"\x1b]0;title\x07\x1b[31mred"),
        ("a\rb\x9b2J", r"a\rb\x9b2J"),
        ("abc\u202etxt", r"abc\u202etxt"),
        ("bytes \udcff", r"bytes \udcff"),
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        (
            "postgresql+psycopg2://me:s:e/c@r@host/db?x=1",
            "postgresql+psycopg2://me:***@host/db?x=1",
        ),
        ("redis://:secret@host", "redis://:***@host"),
        ("mysql://host/db?user=a&password=secret&x=1", "mysql://host/db?user=a&password=***&x=1"),
        ("http://localhost:5000 and a@b", "http://localhost:5000 and a@b"),
        ("sqlite:////tmp/a.db", "sqlite:////tmp/a.db"),
    ],
)
def test_text_for_people(text: str, shown: str) -> None:
    assert for_people(text) == shown


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("digits", "digits"),
        ("../../x", "x"),
        ("a; rm -rf ~", "a-rm--rf"),
        ("\x1b[0m", "0m"),
        ("", "study"),
    ],
)
def test_names_as_one_word(name: str, word: str) -> None:
    assert one_word(name) == word
