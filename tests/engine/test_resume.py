"""Resume: cut anywhere, killed anywhere, the search ends where it would have ended."""

import shutil
from pathlib import Path

import pytest
from support.records import read_records

from autosearch.engine.run import run_study
from autosearch.errors import UserError
from autosearch.study.journal import Journal, read_journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study

# Everything that a journal can hold: a reference, teachers, a scale, validation.
KEYS = {
    "objectives": ["fid", "teacher_mse", "nfe"],
    "report": ["fid_plain"],
    # The reference takes 20,000, the teacher of the search 15,000.
    "budget": {"forward_equivalents": 35_000 + 20 * 400},
}


def asks(directory: Path) -> list[dict]:
    return [record for record in read_records(directory) if record["type"] == "ask"]


# So that a small search breeds as well, from results that it was told.
SOON = {"lag": 4, "algorithm": {"name": "nsga2", "population": 8, "initial": 2}}


@pytest.mark.parametrize(
    ("changes", "every"), [(SOON, 3), pytest.param({}, 1, marks=pytest.mark.soak)]
)
def test_a_journal_cut_anywhere_leads_to_the_same_front(
    tmp_path, tools, fake_workers, changes, every
):
    affordable = 12 if every > 1 else 20
    budget = {"forward_equivalents": 35_000 + affordable * 400}
    experiment = tools.experiment(**{**KEYS, **changes, "budget": budget})
    whole = run_study(experiment, tmp_path / "whole", resume=False, progress=Progress())
    expected, wanted = asks(tmp_path / "whole"), tools.comparable(whole)
    assert affordable - 2 <= len(expected) <= 2 * affordable
    assert expected[-1]["told"] >= 8
    assert wanted["hypervolume"]["validated"] is not None
    lines = (tmp_path / "whole" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    kinds = {record["type"] for record in read_records(tmp_path / "whole")}
    assert kinds >= {"header", "reference", "cost", "ask", "result", "scale", "validation", "stop"}
    for cut in [*range(1, len(lines), every), len(lines)]:
        part = tmp_path / f"cut{cut}"
        part.mkdir()
        (part / "journal.jsonl").write_bytes(b"".join(lines[:cut]))
        if cut // every % 2:  # the store may be there or not
            shutil.copytree(tmp_path / "whole" / "blocks", part / "blocks")
        study = run_study(experiment, part, resume=True, progress=Progress())
        assert asks(part) == expected, cut
        assert tools.comparable(study) == wanted, cut
        assert tools.comparable(Study.read(part)) == wanted, cut
        assert study.planned == whole.planned
        shutil.rmtree(part)


def test_what_the_store_holds_is_not_paid_again(tmp_path, tools, fake_workers):
    experiment = tools.experiment(**KEYS)
    run_study(experiment, tmp_path / "a", resume=False, progress=Progress())
    assert set(fake_workers.evaluated.values()) == {1}
    lines = (tmp_path / "a" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    header_only = tmp_path / "b"
    shutil.copytree(tmp_path / "a", header_only)
    (header_only / "journal.jsonl").write_bytes(lines[0])
    fake_workers.evaluated.clear()
    study = run_study(experiment, header_only, resume=True, progress=Progress())
    assert not fake_workers.evaluated
    assert study.spent == 0
    # The budget still ends the search at the same candidate.
    assert asks(header_only) == asks(tmp_path / "a")


def test_an_incomplete_last_line_is_dropped(tmp_path, tools, fake_workers):
    experiment = tools.experiment()
    whole = run_study(experiment, tmp_path / "a", resume=False, progress=Progress())
    path = tmp_path / "a" / "journal.jsonl"
    text = path.read_bytes()
    path.write_bytes(text[: len(text) // 2])
    study = run_study(experiment, tmp_path / "a", resume=True, progress=Progress())
    assert tools.comparable(study) == tools.comparable(whole)


# -- what may change ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"seed": 1}, "'seed' .0 became 1."),
        ({"samples": 200}, "'samples' .100 became 200."),
        ({"lag": 8}, "'lag'"),
        ({"order": "arrival"}, "'order'"),
        ({"objectives": ["fid", "macs"]}, "'objectives'"),
        ({"baselines": ["ddim", "dpmpp_2m"]}, "'baselines'"),
        ({"algorithm": {"name": "nsga2", "population": 9}}, "'algorithm'"),
        ({"algorithm": "random"}, "'algorithm'"),
        ({"space": {"timesteps": {"steps": [2, 5]}}}, "'space'"),
        ({"constraints": {"nfe": {"max": 5}}}, "'constraints'"),
        ({"report": ["kid"]}, "'report'"),
        ({"model": {"name": "mixture", "dimension": 3}}, "'model'"),
    ],
)
def test_another_experiment_is_refused_by_the_name_of_the_key(
    tmp_path, tools, fake_workers, keys, named
):
    small = {"budget": {"candidates": 6}}
    run_study(tools.experiment(**small), tmp_path / "a", resume=False, progress=Progress())
    before = (tmp_path / "a" / "journal.jsonl").read_bytes()
    with pytest.raises(UserError, match=f"--resume with another {named}") as caught:
        run_study(
            tools.experiment(**small, **keys), tmp_path / "a", resume=True, progress=Progress()
        )
    assert "only budget, workers, validation, loggers may change" in str(caught.value)
    assert (tmp_path / "a" / "journal.jsonl").read_bytes() == before


def test_budget_workers_and_validation_may_change(tmp_path, tools, fake_workers):
    def run(name: str, *, resume: bool = False, **keys: object) -> Study:
        experiment = tools.experiment(**keys)
        return run_study(experiment, tmp_path / name, resume=resume, progress=Progress())

    run("a", budget={"candidates": 20})
    fake_workers.evaluated.clear()
    changed = {
        "budget": {"candidates": 30},
        "workers": {"count": 3, "executor": "inprocess"},
        "validation": {"samples": 200},
    }
    study = run("a", resume=True, **changed)
    searched = [key for key in fake_workers.evaluated if " 1 " in key]
    assert len(searched) == 10
    assert len(study.candidates) == 30
    assert study.experiment.budget.candidates == 30
    assert Study.read(tmp_path / "a").experiment == study.experiment
    assert asks(tmp_path / "a") == asks_of_a_whole_run(tmp_path, run)
    # Less than was done already: nothing more to do.
    fake_workers.evaluated.clear()
    less = run("a", resume=True, **{**changed, "budget": {"candidates": 5}})
    assert len(less.candidates) == 30
    assert not fake_workers.evaluated


def asks_of_a_whole_run(folder, run) -> list[dict]:
    run("whole", budget={"candidates": 30})
    return asks(folder / "whole")


def test_directories_that_do_not_fit_are_refused(tmp_path, tools, fake_workers):
    experiment = tools.experiment(budget={"candidates": 6})
    with pytest.raises(UserError, match="is not a directory; give the directory"):
        run_study(experiment, tmp_path / "none", resume=True, progress=Progress())
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no study"):
        run_study(experiment, tmp_path / "empty", resume=True, progress=Progress())
    run_study(experiment, tmp_path / "a", resume=False, progress=Progress())
    before = (tmp_path / "a" / "journal.jsonl").read_bytes()
    with pytest.raises(UserError, match="already holds a study; continue it with --resume"):
        run_study(experiment, tmp_path / "a", resume=False, progress=Progress())
    assert (tmp_path / "a" / "journal.jsonl").read_bytes() == before


def test_other_weights_are_refused(tmp_path, tools, fake_workers):
    experiment = tools.experiment(budget={"candidates": 6})
    run_study(experiment, tmp_path / "a", resume=False, progress=Progress())
    rewritten = tmp_path / "b"
    rewrite_header(tmp_path / "a", rewritten)
    with pytest.raises(UserError, match="other weights than at the study's start"):
        run_study(experiment, rewritten, resume=True, progress=Progress())


def rewrite_header(source: Path, target: Path) -> None:
    """The same study as if searched on other weights."""
    header, *rest = read_journal(source)
    other = header.model_copy(update={"model": {**header.model, "weights": "others"}})
    with Journal.create(target, other) as journal:
        for event in rest:
            journal.append(event)


def test_the_validation_that_was_asked_for_last_counts(tmp_path, tools, fake_workers):
    shown = []
    for number, samples in enumerate((100, 200, 100)):
        experiment = tools.experiment(validation={"samples": samples})
        study = run_study(experiment, tmp_path / "a", resume=number > 0, progress=Progress())
        shown.append(tools.comparable(study))
        assert shown[-1]["samples"]["validated"] == samples
    assert shown[0] == shown[2] == tools.comparable(Study.read(tmp_path / "a"))


def test_what_was_lost_and_done_again_is_nominal_once(tmp_path, tools, fake_workers):
    experiment = tools.experiment(objectives=["teacher_mse", "nfe"], budget={"candidates": 8})
    study = run_study(experiment, tmp_path / "a", resume=False, progress=Progress())
    shutil.rmtree(tmp_path / "a" / "blocks")
    again = run_study(experiment, tmp_path / "a", resume=True, progress=Progress())
    assert again.nominal_spent == study.nominal_spent
    assert again.spent > study.spent
