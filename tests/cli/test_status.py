"""``status``: running, killed, stopped and finished studies, told apart at once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autosearch.cli import status as status_module
from autosearch.cli.status import read_status
from autosearch.study.events import Ended, Fitted, PhaseBegun, Validated
from autosearch.study.journal import FILE, LOCK, Journal, in_use, read_journal
from autosearch.study.study import Study

# Holds a journal open as a run does, until it is killed.
HOLD = """
import sys, time
from pathlib import Path
from autosearch.study.journal import Journal
with Journal.open(Path(sys.argv[1])) as journal:
    print("held", flush=True)
    time.sleep(60)
"""


def cut(study: Path, to: Path, results: int) -> Path:
    """A copy of a study whose journal ends after so many results."""
    lines = (study / FILE).read_bytes().splitlines(keepends=True)
    ends = [i for i, line in enumerate(lines) if b'"type":"result"' in line]
    to.mkdir()
    (to / FILE).write_bytes(b"".join(lines[: ends[results - 1] + 1]))
    return to


@pytest.fixture
def holder(study: Path, tmp_path: Path) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    """An unfinished study, and another process that writes to it."""
    directory = cut(study, tmp_path / "held", 12)
    command = [sys.executable, "-c", HOLD, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield directory, process
        process.kill()


def test_a_finished_study(cli, study: Path) -> None:
    data = cli("status", study, "--json").data
    assert data["state"] == "finished"
    assert data["done"] == 20
    assert data["pending"] == data["failed"] == data["infeasible"] == 0
    assert data["budget_share"] == 1.0
    assert data["front"]
    assert data["hypervolume"] == sorted(data["hypervolume"])
    text = cli("status", study).out
    assert text.startswith("small on mixture: finished\n100% of the budget in ")
    assert "20 done, 0 without a result" in text


def test_a_running_study_and_the_same_once_it_was_killed(cli, holder) -> None:
    directory, process = holder
    before = (directory / FILE).read_bytes(), (directory / LOCK).stat().st_mtime_ns
    data = cli("status", directory, "--json").data
    assert data["state"] == "running"
    assert data["phase"] == "search"
    assert data["done"] == 12
    assert 0 < data["budget_share"] < 1
    assert data["seconds_left"] > 0
    assert "running, search" in cli("status", directory).out
    process.send_signal(signal.SIGKILL)
    process.wait()
    # At once, although the journal was written a moment ago.
    after = cli("status", directory, "--json").data
    assert after["state"] == "killed"
    assert after["last_write_seconds_ago"] < 60
    text = cli("status", directory).out
    assert "killed, search (no process, and no last word" in text
    assert "--resume" in text
    # Looking at it has changed nothing.
    assert ((directory / FILE).read_bytes(), (directory / LOCK).stat().st_mtime_ns) == before


def test_looking_does_not_take_the_lock(holder) -> None:
    directory, process = holder
    assert in_use(directory) is True
    process.kill()
    process.wait()
    assert in_use(directory) is False
    with Journal.open(directory):
        assert in_use(directory) is True


def test_without_a_lock_nobody_is_at_work(tmp_path: Path) -> None:
    assert in_use(tmp_path) is False


def test_a_journal_that_is_being_written_is_read_to_its_last_whole_line(
    cli, study: Path, tmp_path: Path
) -> None:
    directory = cut(study, tmp_path / "half", 5)
    with (directory / FILE).open("ab") as file:
        file.write(b'{"sum":"0123')
    assert cli("status", directory, "--json").data["done"] == 5


def test_after_an_interrupt_it_says_how_to_go_on(cli, study: Path, tmp_path: Path) -> None:
    with Journal.create(tmp_path / "cut", Study.read(study).header) as journal:
        for event in read_journal(study)[1:]:
            if isinstance(event, Ended):
                journal.append(Ended(reason="interrupted"))
            elif not isinstance(event, Validated) and getattr(event, "name", "") != "validation":
                journal.append(event)
    data = cli("status", tmp_path / "cut", "--json").data
    assert data["state"] == "stopped"
    assert data["stopped"] == "interrupted"
    assert "--resume" in cli("status", tmp_path / "cut").out


def test_killed_during_validation(study: Path, tmp_path: Path) -> None:
    lines = (study / FILE).read_bytes().splitlines(keepends=True)
    ends = [i for i, line in enumerate(lines) if b'"type":"validation"' in line]
    (tmp_path / FILE).write_bytes(b"".join(lines[: ends[1] + 1]))
    found = read_status(tmp_path)
    assert (found.state, found.snapshot.phase) == ("killed", "validation")
    assert 0 < found.snapshot.budget_share < 1


def test_where_locks_say_nothing_the_last_write_does(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_module, "in_use", lambda directory: None)
    directory = cut(study, tmp_path / "unknown", 5)
    assert read_status(directory).state == "running"
    old = time.time() - 4000
    os.utime(directory / FILE, (old, old))
    assert read_status(directory).state == "killed"


def test_watching_a_finished_study_ends(cli, study: Path) -> None:
    assert cli("status", study, "--watch").out.count("finished") == 1


def test_watching_shows_lines_until_the_run_has_ended(
    cli, holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, process = holder
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            process.kill()
            process.wait()

    monkeypatch.setattr(status_module.time, "sleep", sleep)
    lines = cli("status", directory, "--watch").out.splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == ["search", "search"]
    assert "12 done" in lines[0]
    assert "killed, search (no process, and no last word" in lines[2]
    assert all(nap >= 2 for nap in naps)


def test_watching_as_json_is_refused(cli, study: Path) -> None:
    result = cli("status", study, "--watch", "--json")
    assert result.code == 2
    assert "JSON is printed once" in result.err


def test_it_says_what_is_being_set_up(cli, study: Path, tmp_path: Path) -> None:
    with Journal.create(tmp_path / "a", Study.read(study).header) as journal:
        journal.append(PhaseBegun(name="fits"))
        fit = {"name": "ddim+x@3", "recipe": {}, "reason": None}
        journal.append(Fitted(**fit, forward_equivalents=1.0, budgeted=1.0))
        assert ": running, setup: fits, 1 done" in cli("status", tmp_path / "a").out
        assert cli("status", tmp_path / "a", "--json").data["phase"] == "setup: fits, 1 done"


def test_the_next_step_is_named(cli, study: Path, tmp_path: Path) -> None:
    finished = cli("status", study)
    assert f"\nnext: autosearch export {study} --pick knee -o recipe.json (" in finished.out
    assert cli("status", study, "--json").data["next"].startswith(f"autosearch export {study}")
    killed = cut(study, tmp_path / "a folder", 12)
    assert cli("status", killed).out.endswith(
        f"\nnext: autosearch run mixture --out '{killed}' --resume\n"
    )


def test_the_next_step_of_a_running_study_is_to_watch_it(cli, holder) -> None:
    directory, _ = holder
    assert cli("status", directory).out.endswith(f"\nnext: autosearch status {directory} --watch\n")
