"""What people see while a search runs."""

import dataclasses
import io

import pytest
from rich.console import Console

from autosearch.cli import progress
from autosearch.cli.progress import LiveProgress, PlainProgress, RemainingTime
from autosearch.cli.view import duration, front_rows, sparkline, standing_lines, volume_line
from autosearch.study.progress import FrontEntry, Progress, Snapshot

ENTRIES = (
    FrontEntry(2.0, 0.93, "dpmpp_2m-logsnr@2", True),
    FrontEntry(4.0, 0.12, "58", False),
    FrontEntry(4.0, 0.145, "dpmpp_2m-karras@4", True),
)
SNAPSHOT = Snapshot(
    phase="search",
    done=30,
    running=2,
    infeasible=1,
    duplicates=4,
    budget_share=0.5,
    elapsed=100.0,
    front=ENTRIES,
    volumes=(0.25, 0.5, 0.75),
    cost_name="nfe",
    quality_name="fid",
    best=ENTRIES[1],
)


def at(elapsed: float, share: float, **changes: object) -> Snapshot:
    return dataclasses.replace(SNAPSHOT, elapsed=elapsed, budget_share=share, **changes)


def test_time_left_follows_from_the_share_of_the_budget() -> None:
    pace = RemainingTime()
    assert pace.left(at(0.0, 0.0)) is None
    assert pace.left(at(30.0, 0.25)) == pytest.approx(90.0)
    assert pace.left(at(60.0, 1.0)) == 0.0


def test_what_an_earlier_process_did_counts_for_nothing() -> None:
    pace = RemainingTime()
    assert pace.left(at(1.0, 0.8)) is None
    assert pace.left(at(11.0, 0.9)) == pytest.approx(10.0)


def test_validation_has_a_pace_of_its_own() -> None:
    pace = RemainingTime()
    pace.left(at(0.0, 0.0))
    assert pace.left(at(100.0, 0.1, phase="validation")) is None
    assert pace.left(at(110.0, 0.6, phase="validation")) == pytest.approx(8.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (754, "12 min 34 s"),
        (7384, "2 h 03 min"),
        (200_000, "2 days 7 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_front_stands_beside_the_baselines() -> None:
    assert front_rows(ENTRIES) == [
        ("2", "", "0.930  dpmpp_2m-logsnr@2"),
        ("4", "0.120  #58", "0.145  dpmpp_2m-karras@4"),
    ]


def test_long_fronts_are_thinned_to_a_screenful() -> None:
    entries = tuple(FrontEntry(float(cost), 1.0, str(cost), False) for cost in range(100))
    rows = front_rows(entries)
    assert len(rows) == 12
    assert (rows[0][0], rows[-1][0]) == ("0", "99")


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((), ""),
        ((1.0,), ""),
        ((2.0, 2.0, 2.0), "▁▁▁"),
        ((0.0, 0.5, 1.0), "▁▅█"),
        ((3.0, 1.0), "█▁"),
    ],
)
def test_a_sparkline_runs_from_the_least_to_the_largest(
    values: tuple[float, ...], line: str
) -> None:
    assert sparkline(values) == line


def test_the_hypervolume_is_one_line_once_there_is_one() -> None:
    assert volume_line(SNAPSHOT) == "hypervolume 0.2500 ▁▅█ 0.7500 (an upper value)"
    one = dataclasses.replace(SNAPSHOT, volumes=(0.5,))
    assert volume_line(one) == "hypervolume 0.5000 (an upper value)"
    assert volume_line(dataclasses.replace(SNAPSHOT, volumes=())) == ""


def test_the_standing_of_a_run_in_lines() -> None:
    lines = standing_lines(SNAPSHOT, 30.0)
    assert lines[0] == "50% of the budget in 1 min 40 s, about 30 s left"
    assert lines[-1] == "  4  0.120  #58     0.145  dpmpp_2m-karras@4"
    assert standing_lines(at(1.0, 0.5, phase="validation"), None)[0].startswith("50% of the valid")


def test_plain_lines_come_at_each_phase_and_not_too_often(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = PlainProgress()
    for share in (0.1, 0.2, 0.3):
        plain.update(at(100 * share, share))
    plain.update(at(40.0, 0.1, phase="validation"))
    plain.message("a message")
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["search", "validation", "a message"]
    assert "30 done, 2 running, 0 failed, 1 infeasible, 4 duplicates avoided" in lines[0]
    assert "fid 0.120 at nfe 4 (#58); hypervolume 0.7500 (an upper value)" in lines[0]


def test_the_live_display_shows_counts_time_and_front() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    live = LiveProgress(console)
    live.start()
    live.update(at(0.0, 0.0))
    live.update(at(50.0, 0.5))
    live.message("half [way]")
    live.stop()
    live.stop()
    shown = stream.getvalue()
    parts = (
        "50% in 50 s, about 50 s left",
        "4 duplicates avoided",
        "#58",
        "half [way]",
        "▁▅█ 0.7500",
    )
    for words in parts:
        assert words in shown


def test_the_display_follows_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(progress.make_progress(), PlainProgress)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert isinstance(progress.make_progress(), LiveProgress)


def test_the_interface_itself_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    silent = Progress()
    silent.start()
    silent.update(SNAPSHOT)
    silent.message("nothing")
    silent.stop()
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
