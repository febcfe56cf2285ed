"""Cost to front at its smallest: what is counted, what is measured, what is read again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autosearch.diffusion.noise import Stream
from autosearch.engine.problem import Problem
from autosearch.engine.workers.base import SampleTask
from autosearch.errors import UserError
from autosearch.experiments.benchmarks import yardstick
from autosearch.experiments.benchmarks.contestants import (
    ABLATION,
    CONTESTANTS,
    OURS,
    SPACES,
    Contestant,
    Course,
)
from autosearch.experiments.benchmarks.contestants_boxed import boxed
from autosearch.experiments.benchmarks.yardstick_fronts import Run, checkpoints, cost_of
from autosearch.experiments.benchmarks.yardstick_merged import merged
from autosearch.experiments.benchmarks.yardstick_table import markdown, rows, shares
from autosearch.study.study import Study

# One process has all of these: they share their searches.
pytestmark = [pytest.mark.soak, pytest.mark.xdist_group("yardstick")]

TINY = replace(
    SPACES["timesteps"],
    keys={
        **SPACES["timesteps"].keys,
        "model": {"name": "mixture", "dimension": 2, "components": 2},
        "budget": {"forward_equivalents": 70_000},
        "validation": {"samples": 100},
        # So that what was executed is what is counted.
        "workers": {"executor": "inprocess", "call_cache": "off"},
    },
    fits=("dpmpp_2m-logsnr+matched:4:1:10",),
    rungs=(100, 200),
    paired=(100, 200),
    validation=200,
)


def named(*names: str) -> list[Contestant]:
    return yardstick.chosen(names, CONTESTANTS)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Run]]:
    folder = tmp_path_factory.mktemp("yardstick") / "timesteps"
    contestants = named("ours", "nsga2", "nsga2-given-box", "nsga2-given", "optuna-nsga2")
    return folder, yardstick.compare(TINY, contestants, [0], folder, points=3)


def test_every_contestant_spends_the_same_budget(compared: tuple[Path, list[Run]]) -> None:
    _, runs = compared
    assert len(runs) == 5
    for run in runs:
        assert 60_000 < run.cost <= 70_000
        assert run.costs[-1] == run.cost
        assert len(run.volumes) == len(run.costs)
        assert run.final > 0


def test_ours_pays_for_reference_fits_and_baselines_and_the_others_for_what_they_have(
    compared: tuple[Path, list[Run]],
) -> None:
    folder, _ = compared
    studies = {run: Study.read(folder / f"{run}-0") for run in ("ours", "nsga2", "nsga2-given")}
    for name in ("ours", "nsga2-given"):
        study = studies[name]
        assert study.overheads["reference"] == 2 * 100 * 100
        assert study.overheads["dpmpp_2m-logsnr+matched:4:1:10@5"] > 0
        kinds = [candidate.kind for candidate in study.candidates.values()]
        assert kinds.count("baseline") > 5
        # In the fixed solver's space too, since what differs has no effect.
        assert not any(candidate.foreign for candidate in study.candidates.values())
        assert cost_of(study)[0] > sum(study.overheads.values())
    assert sum(studies["nsga2"].overheads.values()) == 0
    assert any(candidate.stopped for candidate in studies["ours"].candidates.values())
    assert not any(candidate.stopped for candidate in studies["nsga2-given"].candidates.values())


def test_races_cost_what_was_measured(compared: tuple[Path, list[Run]]) -> None:
    folder, _ = compared
    study = Study.read(folder / "ours-0")
    assert cost_of(study)[-1] == pytest.approx(study.spent)


def test_what_is_done_is_read_again(compared: tuple[Path, list[Run]]) -> None:
    folder, runs = compared
    lines = (folder / "validated.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(set(lines)) == len(lines)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.jsonl")}
    again = yardstick.compare(TINY, named("ours", "nsga2"), [0], folder, points=3)
    assert again == runs[:2]
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.jsonl")}


def test_another_study_in_the_place_is_refused(compared: tuple[Path, list[Run]]) -> None:
    folder, _ = compared
    with pytest.raises(UserError, match="another 'budget'"):
        yardstick.compare(TINY, named("nsga2"), [0], folder, share=0.5)


def test_the_report_is_read_as_it_was_written(
    compared: tuple[Path, list[Run]], tmp_path: Path
) -> None:
    _, runs = compared
    (tmp_path / "timesteps").mkdir()
    yardstick.save_runs(runs, tmp_path / "timesteps")
    assert yardstick.load_runs(tmp_path) == {"timesteps": runs}
    picture = tmp_path / "cost-to-front.png"
    yardstick.plot_chart(yardstick.load_runs(tmp_path), picture, ours="ours")
    assert picture.stat().st_size > 10_000


def run_of(name: str, seed: int, costs: list[float], volumes: list[float]) -> Run:
    return Run(name, seed, 10, costs[-1], tuple(costs), tuple(volumes), ())


def test_shares_are_of_the_cost_at_which_ours_is_as_good() -> None:
    runs = [
        run_of("ours", 0, [10, 20, 40, 80], [0.1, 0.5, 0.6, 0.7]),
        run_of("ours", 1, [10, 20, 40, 80], [0.1, 0.2, 0.3, 0.4]),
        run_of("other", 0, [50, 100], [0.3, 0.5]),
        run_of("other", 1, [50, 100], [0.3, 0.5]),
    ]
    assert shares(runs, "other") == {0: 0.2, 1: None}
    found = {row["contestant"]: row for row in rows(runs)}
    # The middle between a share and never is never.
    assert found["other"]["share"] is None
    assert found["ours"]["shares"] == {0: 0.25, 1: 1.0} or found["ours"]["volume"] == 0.55
    assert "| other | 10 | 0.00 M | 0.5000 (0.5000 to 0.5000) | never | 0.20, never |" in markdown(
        rows(runs)
    )


def test_milestones_are_the_ends_of_others() -> None:
    runs = [
        run_of("ours", 0, [10, 20, 40, 80], [0.1, 0.5, 0.6, 0.7]),
        run_of("no-racing", 0, [10, 20, 40, 80], [0.1, 0.2, 0.3, 0.4]),
        run_of("nsga2", 0, [50, 80], [0.3, 0.4]),
    ]
    table = yardstick.milestones(runs, ABLATION).splitlines()
    assert table[0].endswith("| as good as `nsga2` |")
    assert table[2].endswith("| 0.7000 (0.7000) | 0.25 |")
    assert table[3].endswith("| 0.4000 (0.4000) | 1.00 |")
    assert table[4].endswith("| 0.4000 (0.4000) |  |")


def test_checkpoints_end_at_the_budget() -> None:
    costs = checkpoints(1600.0, 5)
    assert costs == pytest.approx([100.0, 200, 400, 800, 1600])


@pytest.mark.parametrize("blocks", [(0, 1, 2, 3), (2, 3, 4, 5, 6, 7), (5,), tuple(range(120))])
def test_merged_blocks_hold_the_same_samples(blocks: tuple[int, ...]) -> None:
    problem = Problem.of(TINY.experiment(OURS, 0))
    plan = problem.space.plan(problem.space.origin())
    task = SampleTask(0, plan, 0, Stream.SEARCH, blocks, 100, frozenset({"features"}))
    joined = merged(task)

    def indices(one: SampleTask) -> list[int]:
        size = one.block_size
        return [i for block in one.blocks for i in range(block * size, (block + 1) * size)]

    assert indices(joined) == indices(task)
    assert joined.block_size <= 4000
    assert len(joined.blocks) < len(task.blocks) or len(blocks) == 1


@pytest.mark.parametrize("name", ["timesteps", "solver"])
def test_the_nearest_point_of_a_box_is_the_point_itself(name: str) -> None:
    problem = Problem.of(SPACES[name].experiment(named("random")[0], 0))
    rng = np.random.default_rng(0)
    for _ in range(3):
        box = {
            p.name: float(rng.uniform(p.low, p.high)) if p.kind == "float" else None
            for p in problem.space.box()
        }
        for p in problem.space.box():
            if p.kind == "int":
                box[p.name] = int(rng.integers(p.low, p.high + 1))
            elif p.kind == "choice":
                box[p.name] = str(rng.choice(p.choices))
        genome = problem.space.from_box(box)
        found = problem.space.from_box(boxed(problem.space, genome))
        assert len(found["steps"]) == len(genome["steps"])
        times = [[step["time"] for step in one["steps"]] for one in (found, genome)]
        np.testing.assert_allclose(times[0], times[1], atol=12.0)
        for mine, theirs in zip(found["steps"], genome["steps"], strict=True):
            assert {**mine, "time": 0} == {**theirs, "time": 0}


def test_every_space_states_its_contestants() -> None:
    for course in SPACES.values():
        assert isinstance(course, Course)
        for contestant in (*CONTESTANTS, *ABLATION):
            experiment = course.experiment(contestant, 3)
            rungs = course.paired if contestant.paired else course.rungs
            assert experiment.samples == rungs[-1]
            assert bool(experiment.rungs) == (contestant.races and len(rungs) > 1)
            assert experiment.objectives[0] == (course.stand_in if contestant.paired else "fid")


def test_unknown_contestants_are_named() -> None:
    with pytest.raises(UserError, match="did you mean 'random'"):
        named("randon")
