"""EVODiff: what its step has of a solver's properties, and what it lacks."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.schedules import EDM, NoiseSchedule, VariancePreserving
from autosearch.diffusion.solvers import Evaluation, Update, next_state
from autosearch.models.exact import ExactDenoiser, Mixture

PROBE = Update(2, "data", "evodiff", -1, ((-2,),))
SECOND = Update(3, "data", "evodiff", -1, ((-2, 0),))
LAST = Update(1, "data", "evodiff", -1, ((-2,),))


def points(
    schedule: NoiseSchedule, log_snrs: Sequence[float], data: Sequence[Tensor], x: Tensor
) -> dict[int, Evaluation]:
    """Evaluations two back, one back and ahead."""
    found = {}
    for index, log_snr, said in zip((-2, -1, 0), log_snrs, data, strict=True):
        alpha, sigma = schedule.alpha_sigma(log_snr)
        found[index] = Evaluation(log_snr, x, said, (x - alpha * said) / sigma)
    return found


def some(*, shape: tuple[int, ...] = (4, 3, 2, 2)) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return list(torch.randn(4, *shape, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("update", [PROBE, SECOND, LAST])
@pytest.mark.parametrize("schedule", [EDM(), VariancePreserving()])
def test_a_scaled_problem_has_a_scaled_step(update: Update, schedule: NoiseSchedule) -> None:
    x, *data = some()
    known = points(schedule, (-1.0, 0.2, 1.0), data, x)
    scaled = points(schedule, (-1.0, 0.2, 1.0), [3 * value for value in data], 3 * x)
    step = next_state(update, known, 1.0, schedule=schedule)
    torch.testing.assert_close(next_state(update, scaled, 1.0, schedule=schedule), 3 * step)


def test_a_sum_of_problems_has_no_sum_of_steps() -> None:
    schedule = EDM()
    x, *data = some()
    other = [value.flip(0) for value in (x, *data)]
    levels = (-1.0, 0.2, 1.0)
    steps = [
        next_state(SECOND, points(schedule, levels, found[1:], found[0]), 1.0, schedule=schedule)
        for found in ([x, *data], other, [a + b for a, b in zip([x, *data], other, strict=True)])
    ]
    assert (steps[0] + steps[1] - steps[2]).abs().max() > 1e-2


def test_constant_data_are_exact_on_a_geometric_grid_alone() -> None:
    schedule = EDM()
    x, constant, *_ = some()
    same = [constant] * 3
    for levels, exact in (((-1.0, 0.0, 1.0), True), ((-1.0, 0.5, 1.0), False)):
        known = points(schedule, levels, same, x)
        (_, sigma), (_, next_sigma) = (schedule.alpha_sigma(level) for level in levels[1:])
        truth = constant + next_sigma / sigma * (x - constant)
        error = (next_state(SECOND, known, 1.0, schedule=schedule) - truth).abs().max()
        assert (error < 1e-12) == exact
        ddim = next_state(Update(), {-1: known[-1]}, 1.0, schedule=schedule)
        torch.testing.assert_close(ddim, truth)


def test_a_direction_without_length_counts_for_nothing() -> None:
    x, *_ = some(shape=(5, 3))
    nothing = [torch.zeros_like(x)] * 3
    known = points(EDM(), (-1.0, 0.0, 1.0), nothing, x)
    assert next_state(SECOND, known, 1.0, schedule=EDM()).isfinite().all()


def test_one_evaluation_a_step_and_first_order_convergence() -> None:
    denoiser = ExactDenoiser(
        Mixture.random(components=2, dimension=3, seed=0), EDM(), "data", dtype=torch.float64
    )
    noise = torch.randn(20, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def end(name: str) -> Tensor:
        plan = compile_recipe(baseline(name, denoiser), denoiser)
        assert plan.nfe == len(plan.steps)
        return sample(denoiser, plan, noise, None)

    truth = end("taylor_3m-edm@600")
    errors = [float((end(f"evodiff-edm@{n}") - truth).abs().mean()) for n in (20, 40, 80)]
    assert errors[1] < 0.75 * errors[0]
    assert errors[2] < 0.75 * errors[1]


def test_it_needs_history_and_ends_clean() -> None:
    denoiser = ExactDenoiser(
        Mixture.random(components=2, dimension=3, seed=0), VariancePreserving(), "noise"
    )
    plan = compile_recipe(baseline("evodiff@5", denoiser), denoiser)
    forms = ["taylor", "evodiff", "evodiff", "evodiff", "taylor"]
    assert [step.update.form for step in plan.steps] == forms
    # The last second look moves a state of which nothing is left at the clean end.
    looks = [step.corrector is not None for step in plan.steps]
    assert looks == [False, True, True, False, False]
    assert plan.steps[-1].order == 1
