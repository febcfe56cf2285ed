"""Signals, a clock that is set back, a second driver, memory that runs out."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.soaked import soaked
from support.tally import count

from autosearch.cli.status import read_status, status_data
from autosearch.errors import UserError
from autosearch.study.front import Front
from autosearch.study.missing import missing
from autosearch.study.study import Study

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# References and teachers, then 16 candidates, then validation.
POINTS = (1, 2, 4, 9, 17, 22)


def at(number: int, act) -> object:
    """Harm once, before an evaluation."""

    def harm(begun: int) -> None:
        if begun == number:
            act()

    return harm


def send(number: int, times: int = 1) -> None:
    for _ in range(times):
        os.kill(os.getpid(), number)
        time.sleep(0.002)


def begun_by_a_whole_run(calibrator) -> int:
    calibrator.run("count")
    return calibrator.evaluator.begun


def once(calibrator, said, number: int, point: int) -> None:
    """One signal: what is in flight is finished and saved, and that is said."""
    calibrator.evaluator.finished.clear()
    calibrator.evaluator.begun, calibrator.evaluator.harm = 0, at(point, lambda: send(number))
    name = f"once{number}-{point}"
    study = calibrator.run(name, said)
    time.sleep(0.01)
    assert len(said.lines) == 1
    assert "finishing what is in flight; another Ctrl-C stops at once" in said.lines[0]
    assert "\n" not in said.lines[0]
    assert sum(calibrator.evaluator.finished.values()) >= point
    Front.of(study).to_dict()
    status = status_data(read_status(calibrator.folder / name))
    assert status["state"] == "stopped"
    # All that was begun has been written, or is in the store.
    done = len(study.candidates)
    assert all(candidate.finished for candidate in study.candidates.values())
    calibrator.evaluator.harm = lambda begun: None
    calibrator.run(name)
    calibrator.check(name)
    assert len(Study.read(calibrator.folder / name).candidates) >= done
    count("signals in process")


def twice(calibrator, said, number: int, point: int) -> None:
    """Two signals: it stops in the middle, and only what was in flight is done again."""
    calibrator.evaluator.finished.clear()
    calibrator.evaluator.begun, calibrator.evaluator.harm = 0, at(point, lambda: send(number, 2))
    name = f"twice{number}-{point}"
    with pytest.raises(KeyboardInterrupt):
        calibrator.run(name, said)
    assert calibrator.evaluator.begun == point
    calibrator.evaluator.harm = lambda begun: None
    calibrator.run(name)
    calibrator.check(name)
    count("signals in process", 2)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("point", soaked([9, 1, 19], but=1))
@pytest.mark.parametrize("act", [once, twice])
def test_a_signal(calibrator, said, number, point, act):
    act(calibrator, said, number, point)


@pytest.mark.soak
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("act", [once, twice])
def test_a_signal_before_any_evaluation(calibrator, said, number, act):
    total = begun_by_a_whole_run(calibrator)
    # A worker holds an evaluation and one that waits: the last two have nothing after them to stop.
    for point in range(1, total - 1):
        said.lines.clear()
        act(calibrator, said, number, point)


@pytest.fixture
def handlers() -> Iterator[None]:
    """The handlers of this process are its own again afterwards."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_handlers_come_back(calibrator, said, handlers):
    once(calibrator, said, signal.SIGTERM, 5)


YEAR = 365 * 86400.0


@pytest.mark.parametrize("jump", [-YEAR, YEAR])
@pytest.mark.parametrize("point", soaked([3, 12], but=1))
def test_a_clock_that_is_set(calibrator, monkeypatch, jump, point):
    clock, clock_ns = time.time, time.time_ns

    def set_clock() -> None:
        monkeypatch.setattr(time, "time", lambda: clock() + jump)
        monkeypatch.setattr(time, "time_ns", lambda: clock_ns() + int(jump * 1e9))

    calibrator.evaluator.harm = at(point, set_clock)
    calibrator.run()
    calibrator.check()
    data = status_data(read_status(calibrator.folder / "hurt"))
    assert data["last_write_seconds_ago"] >= 0
    assert data["seconds"] >= 0
    assert data["state"] == "finished"
    # Entries of a store that were used in another year are found again all the same.
    calibrator.journal().write_bytes(calibrator.journal().read_bytes().splitlines(keepends=True)[0])
    calibrator.run()
    calibrator.check()


def test_a_second_driver(calibrator):
    refusals: list[str] = []

    def second() -> None:
        with pytest.raises(UserError) as caught:
            calibrator.run()
        refusals.append(str(caught.value))

    calibrator.evaluator.harm = at(9, second)
    calibrator.run()
    assert len(refusals) == 1
    assert f"{calibrator.folder / 'hurt'}: in use by another run; wait for its end" in refusals[0]
    calibrator.check()


@pytest.mark.parametrize("point", [8, 28])
def test_memory_that_runs_out_is_no_candidates_own(calibrator, point):
    def exhaust() -> None:
        raise MemoryError("no more")

    calibrator.evaluator.harm = at(point, exhaust)
    study = calibrator.run()
    full = [c for c in study.candidates.values() if c.failed]
    assert [*(c.reason for c in full), *study.lost.values()] == ["out of memory: no more"]
    assert len(study.candidates) == 16
    assert len(missing(study)) == 1
    # Tried again it is there. Of the search it is known too late to lead it elsewhere.
    again = calibrator.run()
    assert not missing(again)
    assert not again.lost
    assert all(c.status == "ok" for c in again.candidates.values())
    if not full:
        calibrator.check()


def test_a_journal_that_is_taken_away(calibrator):
    def remove() -> None:
        calibrator.journal().unlink()

    calibrator.evaluator.harm = at(9, remove)
    assert "deleted while in use; start again with another --out" in calibrator.refusal()


def test_a_folder_that_is_taken_away(calibrator, tmp_path: Path):
    def move() -> None:
        (tmp_path / "hurt").rename(tmp_path / "elsewhere")

    calibrator.evaluator.harm = at(9, move)
    calibrator.run()
    # The open file goes with the folder; only the store was begun anew.
    calibrator.check("elsewhere")
