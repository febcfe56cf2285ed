"""What a run refuses a dry run refuses too, and a refused run leaves nothing behind."""

import errno
import os

import pytest

from autosearch.cli import main
from autosearch.engine.dry_run import dry_run
from autosearch.engine.run import run_study
from autosearch.engine.workers import room
from autosearch.engine.workers.base import Outcome
from autosearch.errors import UserError
from autosearch.study.events import PhaseBegun
from autosearch.study.journal import FILE, LOCK, Journal, read_journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study

FEW = {"budget": {"candidates": 6}}
WRONG = {
    "an unknown baseline": ({"baselines": ["ddimm"]}, "did you mean 'ddim'"),
    "an unknown setting": ({"algorithm": {"name": "nsga2", "populaton": 8}}, "population"),
    "a limit that nothing keeps": (
        {"space": {"timesteps": {"steps": [2, 4]}}, "constraints": {"nfe": {"max": 1}}},
        "no recipe of the space keeps nfe <= 1; the nearest of 300 has 2",
    ),
    "a warm start that is not there": ({"init": ["nowhere.json"]}, "nowhere.json"),
    "more workers than the lag": (
        {"workers": {"count": 2, "executor": "ray"}, "lag": 1},
        "lag: 1 is below the number of workers, 2",
    ),
    "more workers than there is room for": (
        {"workers": {"count": 5000, "executor": "ray"}, "order": "arrival"},
        "no room for 5000 of 1 CPUs",
    ),
    "no cluster at the address": (
        {"workers": {"address": "127.0.0.1:9", "count": 2}},
        "no Ray cluster answers at address '127.0.0.1:9'",
    ),
    "a port that is none": ({"workers": {"address": "127.0.0.1:x", "count": 2}}, "no Ray cluster"),
    "an executor that is none": ({"workers": {"executor": "ray", "count": 0.5}}, "workers.count"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_run_and_a_dry_run_refuse_the_same_before_anything_is_written(
    tmp_path, tools, fake_workers, monkeypatch, name
):
    monkeypatch.delenv("AUTOSEARCH_EXECUTOR", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Other tests of this process may have begun one.
    monkeypatch.setattr(room, "_ray_is_up", lambda: False)
    keys, message = WRONG[name]
    said = []
    for act in (
        lambda experiment: run_study(experiment, tmp_path / "a", resume=False, progress=Progress()),
        lambda experiment: dry_run(experiment, out=tmp_path / "a"),
    ):
        with pytest.raises(UserError) as caught:
            act(tools.experiment(**keys))
        said.append(str(caught.value))
        assert not (tmp_path / "a").exists()
    assert said[0] == said[1]
    assert message in said[0]
    assert not fake_workers.evaluated
    # The corrected command finds its place free.
    run_study(
        tools.experiment(budget={"candidates": 6}),
        tmp_path / "a",
        resume=False,
        progress=Progress(),
    )


def test_a_study_that_is_there_is_refused_by_a_run_and_told_by_a_dry_run(
    tmp_path, tools, fake_workers
):
    experiment = tools.experiment(budget={"candidates": 6})
    run_study(experiment, tmp_path / "a", resume=False, progress=Progress())
    with pytest.raises(UserError, match="already holds a study"):
        run_study(experiment, tmp_path / "a", resume=False, progress=Progress())
    told, free = (dry_run(experiment, out=tmp_path / name) for name in ("a", "b"))
    assert f"{tmp_path / 'a'} holds a study: run with --resume" in told["advice"]
    assert "holds a study" not in (free["advice"] or "")
    assert told["candidates"] == free["candidates"]
    dry_run(experiment, out=tmp_path / "a", resume=True)
    other = tools.experiment(budget={"candidates": 6}, seed=1)
    with pytest.raises(UserError, match="--resume with another 'seed'"):
        dry_run(other, out=tmp_path / "a", resume=True)


def test_a_search_that_fails_before_anything_is_paid_is_taken_back(tmp_path, tools, fake_workers):
    evaluate = type(fake_workers).evaluate
    fake_workers.evaluate = lambda task: Outcome(task.id, reason="non-finite samples")
    experiment = tools.experiment(budget={"candidates": 6})
    with pytest.raises(UserError, match=r"reference ddim@100 cannot be sampled: non-finite"):
        run_study(experiment, tmp_path / "a", resume=False, progress=Progress())
    assert not (tmp_path / "a").exists()
    fake_workers.evaluate = lambda task: evaluate(fake_workers, task)
    assert run_study(experiment, tmp_path / "a", resume=False, progress=Progress()).feasible


@pytest.mark.parametrize("after", [0, 3])
def test_a_reference_that_fails_leaves_no_folder_in_which_nothing_is(
    tmp_path, tools, fake_workers, after
):
    """With blocks in the store, which another try finds again, only these are left."""
    evaluate = type(fake_workers).evaluate
    seen = []

    def failing(task):
        seen.append(task)
        if len(seen) > after:
            return Outcome(task.id, reason="non-finite samples")
        return evaluate(fake_workers, task)

    fake_workers.evaluate = failing
    experiment = tools.experiment(budget={"candidates": 6}, validation={"samples": 1000})
    with pytest.raises(UserError, match=r"reference ddim@100 cannot be sampled: non-finite"):
        run_study(experiment, tmp_path / "a", resume=False, progress=Progress())
    left = {path.name for path in tmp_path.glob("a/*")}
    assert left == ({"blocks"} if after else set())
    assert (tmp_path / "a").exists() == bool(after)


def test_what_stands_in_an_experiment_is_told_with_its_file(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    text = "model: mixture\nspace: {timesteps: {steps: [2, 4]}}\nobjectives: [fid, nfe]\n"
    wrong = {
        "space: {timesteps: {steps: 3}}": "space.timesteps.steps: expected a list, got 3",
        "objectives: [is]": "objectives: 'is' needs ",
        "algorithm: {name: nsga2, populaton: 3}": "algorithm: unknown key 'populaton'",
        "baselines: [dddim]": "baselines: unknown baseline solver",
        "model: {name: mixture, dimensions: 3}": "model: unknown key 'dimensions'",
        "init: [nowhere.json]": "nowhere.json",
        "loggers: [tensorbord]": "loggers: unknown logger",
        "samples: 7": "samples: 7 is not a multiple",
    }
    for line, words in wrong.items():
        key = line.partition(":")[0]
        kept = [one for one in text.splitlines() if not one.startswith(f"{key}:")]
        path.write_text("\n".join([*kept, line]) + "\n")
        for more in ([], ["--dry-run"], ["--json"], ["--dry-run", "--json"]):
            assert command("run", path, "--out", tmp_path / "a", *more) == 2, line
            said = capsys.readouterr()
            assert said.out == ""
            assert said.err.count("\n") == 1
            assert said.err.startswith(f"autosearch: {path}: "), said.err
            assert words in said.err
            assert "nput should" not in said.err
        assert not (tmp_path / "a").exists()


def test_limits_that_contradict_each_other_are_refused(tools):
    with pytest.raises(UserError, match="nothing is at least 7 and at most 5"):
        tools.experiment(constraints={"fid": {"min": 7, "max": 5}})


def test_a_limit_that_no_candidate_met_is_said_with_the_nearest(tmp_path, capsys):
    out = tmp_path / "a"
    arguments = ["run", "mixture", "--out", str(out), "--budget", "6", "--workers", "1"]
    arguments += ["--set", "samples=100", "--set", "validation.samples=100"]
    code = main([*arguments, "--set", "constraints={fid: {max: 0.00001}}"])
    said = capsys.readouterr()
    assert code == 1
    last = said.err.splitlines()[-1]
    assert last.startswith("autosearch: constraints: no candidate keeps fid <= 1e-05; nearest ")
    assert "nothing on the front: constraints: no candidate keeps fid" in said.out
    assert main(["status", str(out)]) == 0
    assert "no candidate keeps fid <= 1e-05" in capsys.readouterr().out
    assert main(["export", str(out), "--pick", "knee", "-o", str(tmp_path / "r.json")]) == 2
    assert "no candidate keeps fid <= 1e-05" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"candidates": 5}, "5 is no more than the 5 baselines"),
        ({"forward_equivalents": 20_500}, "setup and baselines take about 22,000 of 20,500"),
    ],
)
def test_a_budget_that_ends_among_the_baselines_is_said(
    tmp_path, tools, fake_workers, budget, words
):
    said = []

    class Said(Progress):
        def message(self, text):
            said.append(text)

    experiment = tools.experiment(budget=budget)
    run_study(experiment, tmp_path / "a", resume=False, progress=Said())
    assert sum(words in line for line in said) == 1
    assert words in dry_run(experiment)["advice"]


# -- places ------------------------------------------------------------------------------------

SMALL = ("--budget", "6", "--workers", "1", "--set", "samples=100", "--set")
SMALL += ("validation.samples=100",)


def command(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_places_that_are_none_are_one_line(tmp_path, capsys):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    (tmp_path / "file").touch()
    for out, words in (("", "is empty"), (loop, "is not a directory"), (tmp_path / "file", "file")):
        assert command("run", "mixture", *SMALL, "--out", out) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert words in err


def test_a_folder_whose_name_is_no_text_holds_a_study_like_any(tmp_path, tools, fake_workers):
    out = tmp_path / os.fsdecode(b"bad\xff")
    experiment = tools.experiment(budget={"candidates": 6})
    try:
        out.mkdir()
    except OSError:  # a file system that knows text only has no such folder
        return
    run_study(experiment, out, resume=False, progress=Progress())
    assert Study.read(out).header.name == "bad?"
    run_study(experiment, out, resume=True, progress=Progress())


def test_a_file_system_that_cannot_flush_a_folder(tmp_path, tools, fake_workers, monkeypatch):
    flush = os.fsync

    def refuse(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    run_study(
        tools.experiment(budget={"candidates": 6}),
        tmp_path / "a",
        resume=False,
        progress=Progress(),
    )
    assert len(Study.read(tmp_path / "a").candidates) == 6


def test_going_on_with_the_study_of_another_is_said(tmp_path, tools, fake_workers, capsys):
    out = tmp_path / "a"
    run_study(tools.experiment(**FEW), out, resume=False, progress=Progress())
    before = (out / FILE).read_bytes()
    capsys.readouterr()
    assert command("run", "digits", "--out", out, "--resume") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "holds another study, 'a' of fid, nfe on mixture" in err
    assert (out / FILE).read_bytes() == before


# -- a second writer ---------------------------------------------------------------------------


def test_a_second_writer_notices_before_its_first_line(tmp_path, tools, fake_workers):
    run_study(
        tools.experiment(budget={"candidates": 6}),
        tmp_path / "a",
        resume=False,
        progress=Progress(),
    )
    first = Journal.open(tmp_path / "a")
    (tmp_path / "a" / LOCK).unlink()
    second = Journal.open(tmp_path / "a")
    first.append(PhaseBegun(name="search"))
    for _ in range(2):
        with pytest.raises(UserError, match="written by another run at the same time"):
            second.append(PhaseBegun(name="search"))
    first.append(PhaseBegun(name="search"))
    second.close()
    first.close()
    assert len(read_journal(tmp_path / "a")) == len(first.history) + 2


def test_a_run_whose_lock_was_removed_ends_when_another_goes_on(tmp_path, tools, fake_workers):
    experiment = tools.experiment(budget={"candidates": 20})
    whole = run_study(experiment, tmp_path / "whole", resume=False, progress=Progress())
    evaluate, seen = type(fake_workers).evaluate, []

    def disturbed(task):
        seen.append(task)
        if len(seen) == 12:
            (tmp_path / "a" / LOCK).unlink()
            # The second run, begun while the first is in the middle of an evaluation.
            run_study(experiment, tmp_path / "a", resume=True, progress=Progress())
        return evaluate(fake_workers, task)

    fake_workers.evaluate = disturbed
    with pytest.raises(UserError, match="written by another run at the same time"):
        run_study(experiment, tmp_path / "a", resume=False, progress=Progress())
    study = Study.read(tmp_path / "a")
    assert tools.comparable(study) == tools.comparable(whole)
