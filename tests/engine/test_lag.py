"""The lag of a study: settled when it begins, recorded, and kept whoever goes on with it."""

from typing import Any

import pytest

from autosearch.engine import session as session_module
from autosearch.engine.run import run_study
from autosearch.errors import UserError
from autosearch.study.journal import FILE, read_journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study


class Said(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def run(tmp_path, tools, monkeypatch):
    """Runs a study with so many workers, again to go on with it; returns it and what was said."""

    def run(*, workers: int, **keys: Any) -> tuple[Study, list[str]]:
        def make(factory, **options):
            run.most = options["most"]
            run.executor = tools.shuffled(tools.fake(), size=workers, seed=workers)
            run.executor.limit = lambda most: setattr(run, "limit", most)
            return run.executor

        monkeypatch.setattr(session_module, "make_executor", make)
        said, out = Said(), tmp_path / "study"
        experiment = tools.experiment(**keys)
        study = run_study(experiment, out, resume=(out / FILE).exists(), progress=said)
        return study, [line for line in said.lines if line.startswith("lag")]

    return run


@pytest.mark.parametrize(
    ("workers", "keys", "lag"),
    [
        (1, {}, 16),
        (5, {}, 16),
        (6, {}, 18),
        (30, {}, 90),
        (2, {"lag": 3}, 3),
        (7, {"order": "arrival"}, 21),
    ],
)
def test_it_is_settled_at_the_start_and_recorded(run, tmp_path, workers, keys, lag):
    small = {"budget": {"candidates": 4}, **keys}
    study, said = run(workers=workers, **small)
    assert not said
    header = read_journal(tmp_path / "study")[0]
    assert header.experiment["lag"] == study.experiment.lag == lag
    # Nobody waits for workers that are not there yet; later ones come up to the lag.
    assert run.most == keys.get("lag")
    assert getattr(run, "limit", lag) == lag


def test_another_number_of_workers_goes_on_with_it(run, tmp_path):
    whole = [event.to_record() for event in _asked(run, tmp_path, workers=8)]
    assert len(whole) == 40
    journal = tmp_path / "study" / FILE
    lines = journal.read_bytes().splitlines(keepends=True)
    for workers, words in [
        (1, None),
        (8, None),
        (9, "lag: 24, as the study began: 9 workers wait for results now and then; a new study"),
        (40, "lag: 24, as the study began: only 24 of 40 workers have work at a time"),
    ]:
        journal.write_bytes(b"".join(lines[: len(lines) // 3]))
        study, said = run(workers=workers, budget={"candidates": 40})
        assert study.experiment.lag == 24
        assert run.most == run.limit == 24
        assert [event.to_record() for event in _asks(tmp_path)] == whole
        assert [words is not None and line.startswith(words) for line in said] == [True] * len(said)
        assert len(said) == (words is not None)


def _asked(run, tmp_path, **keys):
    run(budget={"candidates": 40}, **keys)
    return _asks(tmp_path)


def _asks(tmp_path):
    return [event for event in read_journal(tmp_path / "study") if event.type == "ask"]


def test_a_lag_that_is_given_must_be_the_one_that_it_began_with(run):
    run(workers=2, budget={"candidates": 4})
    run(workers=2, budget={"candidates": 5}, lag=16)
    with pytest.raises(UserError, match=r"another .lag. .16 became 17."):
        run(workers=2, budget={"candidates": 6}, lag=17)


def test_a_new_study_with_a_lag_below_its_workers_is_refused_and_leaves_nothing(run, tmp_path):
    with pytest.raises(UserError, match="lag: 4 is below the number of workers, 5; raise lag"):
        run(workers=5, lag=4)
    assert not (tmp_path / "study").exists()
    run(workers=5, lag=4, order="arrival", budget={"candidates": 4})


def test_workers_that_cannot_be_had_leave_nothing(tmp_path, tools, monkeypatch):
    def make(factory, **options):
        raise UserError("workers: no room")

    monkeypatch.setattr(session_module, "make_executor", make)
    with pytest.raises(UserError, match="no room"):
        run_study(tools.experiment(), tmp_path / "study", resume=False, progress=Progress())
    assert not (tmp_path / "study").exists()


def test_a_directory_with_a_study_is_refused_before_workers_are_asked_for(run, tmp_path, tools):
    run(workers=1, budget={"candidates": 4})
    run.most = None
    with pytest.raises(UserError, match="already holds a study"):
        run_study(tools.experiment(), tmp_path / "study", resume=False, progress=Progress())
    assert run.most is None
