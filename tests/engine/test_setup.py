"""What setting up may take of a budget."""

import pytest

from autosearch.engine.problem import Problem
from autosearch.engine.reference import SETUP_SHARE, reference_samples, setup_advice, setup_cost
from autosearch.engine.run import run_study
from autosearch.study.progress import Progress


class Messages(Progress):
    """Keeps what a user is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)


def keys(budget: float) -> dict:
    # Few candidates: what they cost is not in question.
    return {
        "validation": {"samples": 800},
        "budget": {"forward_equivalents": budget, "candidates": 8},
    }


# Two references of 100 steps: 200 forwards a sample, in seed blocks of 100.
@pytest.mark.parametrize(
    ("budget", "others", "samples"),
    [(1e7, 0.0, 800), (800_000, 0.0, 800), (799_999, 0.0, 700), (400_000, 20_000.0, 300)],
)
def test_the_reference_gets_what_the_share_leaves(tools, budget, others, samples):
    problem = Problem.of(tools.experiment(**keys(budget)))
    assert reference_samples(problem, others=others) == samples


def test_it_never_gets_fewer_samples_than_its_objectives_need(tools):
    problem = Problem.of(tools.experiment(**keys(1_000.0)))
    assert reference_samples(problem, others=0.0) == 100
    problem.report_measure.check_samples(100, where="reference")


@pytest.mark.parametrize("budget", [140_000.0, 400_000.0])
def test_a_run_sets_up_for_a_fifth_or_says_what_to_change(tmp_path, tools, fake_workers, budget):
    experiment = tools.experiment(**keys(budget), objectives=["fid", "teacher_mse", "nfe"])
    progress = Messages()
    study = run_study(experiment, tmp_path / "a", resume=False, progress=progress)
    setup = sum(study.overheads.values())
    problem = Problem.of(experiment)
    assert setup_cost(problem) == setup
    if setup <= SETUP_SHARE * budget:
        assert budget == 400_000.0
        assert setup_advice(problem) is None
        assert progress.texts == []
    else:
        assert progress.texts == [setup_advice(problem)]
        assert f"budget.forward_equivalents={setup / SETUP_SHARE:.0f}" in progress.texts[0]
