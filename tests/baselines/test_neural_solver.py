"""NeuralSolver's tables: the released loops, the published vectors, and what is refused."""

import json
import math
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
import torch
from support.canonical_rows import canonical_rows
from torch import Tensor

from autosearch.baselines import baseline, baseline_names
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.schedules import RectifiedFlow, VariancePreserving
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser, Mixture

Make = Callable[[str], ExactDenoiser]
PUBLISHED = json.loads(
    (files("autosearch.baselines") / "neural_solver.json").read_text(encoding="utf-8")
)
COUNTS = {"flow": (5, 6, 7, 8, 9, 10, 15), "vp": (5, 6, 7, 8, 9, 10)}


@pytest.fixture
def mixture() -> Mixture:
    return Mixture.random(components=3, dimension=3, seed=1)


def noise() -> Tensor:
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def mean(evaluations: list[Tensor], older: list[float]) -> Tensor:
    shares = [*older, 1 - sum(older)]
    return sum(
        (c * one for c, one in zip(shares, evaluations, strict=True)),
        start=torch.zeros_like(evaluations[0]),
    )


def test_tables_are_all_there_and_their_steps_fill_the_time() -> None:
    assert {family: tuple(map(int, tables)) for family, tables in PUBLISHED["tables"].items()} == (
        COUNTS
    )
    assert "MCG-NJU/NeuralSolver" in PUBLISHED["source"]
    assert "MIT" in PUBLISHED["licence"]
    for tables in PUBLISHED["tables"].values():
        for count, table in tables.items():
            assert math.fsum(table["lengths"]) == pytest.approx(1, abs=3e-4)
            assert [len(row) for row in table["older"]] == list(range(int(count)))


@pytest.mark.parametrize("steps", COUNTS["flow"])
def test_on_flows_it_is_the_released_loop(steps: int, mixture: Mixture) -> None:
    """In double precision; there the velocity is data less noise and time runs to 1."""
    denoiser = ExactDenoiser(mixture, RectifiedFlow(), "flow", dtype=torch.float64)
    table = PUBLISHED["tables"]["flow"][str(steps)]
    x, time, velocities = noise(), 0.0, []
    for length, older in zip(table["lengths"], table["older"], strict=True):
        velocities.append(-denoiser.denoise(x, 1 - time, None)["cond"])
        x = x + length * mean(velocities, older)
        time += length
    plan = compile_recipe(baseline(f"neural_solver@{steps}", denoiser), denoiser)
    torch.testing.assert_close(sample(denoiser, plan, noise(), None), x, rtol=1e-6, atol=1e-7)
    assert plan.nfe == steps


def continuous(time: float) -> tuple[float, float]:
    """Alpha and sigma of betas 0.1 to 20."""
    time = max(time, 0.001)
    exponent = 0.5 * 19.9 * time**2 + 0.1 * time
    return math.exp(-0.5 * exponent), math.sqrt(1 - math.exp(-exponent))


@pytest.mark.parametrize("steps", COUNTS["vp"])
def test_on_linear_betas_it_is_the_paper_s_loop(steps: int, mixture: Mixture) -> None:
    """With one update a step, and the data of the level that the state has."""
    denoiser = ExactDenoiser(mixture, VariancePreserving(), "noise", dtype=torch.float64)
    table = PUBLISHED["tables"]["vp"][str(steps)]
    x, time, data = noise(), 0.999, []
    for length, older in zip(table["lengths"], table["older"], strict=True):
        (alpha, sigma), (next_alpha, next_sigma) = continuous(time), continuous(time - length)
        data.append(denoiser.posterior_mean(x, alpha, sigma))
        gain = next_sigma * (next_alpha / next_sigma - alpha / sigma)
        x = next_sigma / sigma * x + gain * mean(data, older)
        time -= length
    plan = compile_recipe(baseline(f"neural_solver@{steps}", denoiser), denoiser)
    torch.testing.assert_close(sample(denoiser, plan, noise(), None), x, rtol=1e-6, atol=1e-6)
    assert plan.nfe == steps
    assert plan.steps[-1].next_log_snr == pytest.approx(math.log(np.divide(*continuous(0))))


def test_other_betas_have_the_same_training_steps(mixture: Mixture) -> None:
    denoiser = ExactDenoiser(mixture, VariancePreserving("scaled_linear"), "noise")
    steps = baseline("neural_solver@5", denoiser).steps
    times = [0.999, 0.7408, 0.5642, 0.3876, 0.172]
    assert [step.time for step in steps] == pytest.approx([1000 * t - 1 for t in times])
    assert baseline("neural_solver@5", denoiser).end == pytest.approx(
        denoiser.schedule.log_snr(0.0), abs=1e-8
    )


def test_rows_of_five_steps_as_published(mixture: Mixture) -> None:
    """The second and the last, of the first state and of the data."""
    denoiser = ExactDenoiser(mixture, RectifiedFlow(), "flow", dtype=torch.float64)
    plan = compile_recipe(baseline("neural_solver@5", denoiser), denoiser)
    # The published lengths leave a time of 0.0001, where this recipe says clean.
    rows = canonical_rows(plan, denoiser.schedule, "data")
    assert rows[1][:3].round(4).tolist() == [0.8004, -0.1521, 0.3517]
    assert rows[4].round(4).tolist() == [0.0001, 0.1080, -0.1791, 0.3767, -1.0052, 1.6995]
    for i, (row, step) in enumerate(zip(rows, plan.steps, strict=True)):
        after = 1 - math.fsum(PUBLISHED["tables"]["flow"]["5"]["lengths"][: i + 1])
        assert row[0] == pytest.approx(after, abs=1e-8)
        assert row[1:].sum() == pytest.approx(1 - after, abs=1e-8)
        assert step.update.form == "linear"


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [
        ("flow", "neural_solver@4", "published for 5, 6, 7, 8, 9, 10, 15 steps on flow models; "),
        ("flow", "neural_solver@4", "the nearest is neural_solver@5"),
        ("flow", "neural_solver@13", "the nearest is neural_solver@15"),
        ("vp", "neural_solver@15", "the nearest is neural_solver@10"),
        ("edm", "neural_solver@5", "published for flow and vp models, not for edm ones"),
        ("vp", "neural_solver-karras@5", "made for times of its own; leave grid 'karras' out"),
    ],
)
def test_refusals(model: str, name: str, message: str, make: Make) -> None:
    with pytest.raises(UserError) as caught:
        baseline(name, make(model))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_has_one_name(make: Make) -> None:
    schedule: Any = make("flow").schedule
    assert baseline_names(schedule, solvers=["neural_solver"]) == ["neural_solver"]
    assert "neural_solver" not in baseline_names(schedule)
