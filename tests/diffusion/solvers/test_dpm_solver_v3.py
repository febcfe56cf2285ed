"""DPM-Solver-v3: with trivial statistics what it came from, with exact ones exact."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from autosearch.diffusion.artifact_store import ArtifactStore, Provenance, pack_artifact
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import model_key
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Artifact, Recipe

SCHEDULES: dict[str, NoiseSchedule] = {
    "vp": VariancePreserving(),
    "edm": EDM(),
    "flow": RectifiedFlow(),
}
TIMES = {"vp": [900, 700, 450, 200, 50], "edm": [40, 8, 2, 0.5, 0.1], "flow": [0.9, 0.7, 0.5, 0.2]}
DIMENSION = 3
STORE = ArtifactStore()


def denoiser_of(name: str) -> ExactDenoiser:
    mixture = Mixture.random(components=3, dimension=DIMENSION, seed=1)
    return ExactDenoiser(mixture, SCHEDULES[name], "data", dtype=torch.float64)


def kept(denoiser: Denoiser, **tables: Tensor) -> Artifact:
    artifact, content = pack_artifact(Provenance("v3", {}, denoiser.weights, 0), tables)
    STORE.add(artifact.key, content)
    return artifact


def constant(denoiser: Denoiser, **values: float) -> Artifact:
    log_snrs = torch.linspace(-6, 8, 30, dtype=torch.float64)
    shape = (len(log_snrs), *denoiser.sample_shape)
    tables = {
        name: torch.full(shape, float(values.get(name, 0)), dtype=torch.float64) for name in "lsb"
    }
    return kept(denoiser, log_snr=log_snrs, **tables)


def run(
    denoiser: Denoiser,
    steps: list[dict[str, Any]],
    artifact: Artifact | None = None,
    end: float | str = "clean",
) -> Tensor:
    data = {
        "version": 1,
        "model": model_key(denoiser).model_dump(),
        "start": {"scale": "scheduler"},
        "steps": steps,
        "end": end,
        "artifacts": {} if artifact is None else {"v3": artifact.model_dump()},
    }
    plan = compile_recipe(Recipe.from_dict(data), denoiser)
    noise = torch.randn(
        6, DIMENSION, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    return sample(denoiser, plan, noise, None, artifact_store=STORE)


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("corrector", ["none", "pseudo", "implicit"])
def test_trivial_statistics_are_the_exact_integrators(
    name: str, order: int, corrector: str
) -> None:
    denoiser = denoiser_of(name)
    for prediction, values in (("data", {"l": 1}), ("noise", {"s": -1})):
        common = {"order": order, "corrector": corrector}
        plain = [
            {"time": t, **common, "form": "taylor", "prediction": prediction} for t in TIMES[name]
        ]
        empirical = [{"time": t, **common, "form": "v3"} for t in TIMES[name]]
        found = run(denoiser, empirical, constant(denoiser, **values))
        # The second derivative's integral has no closed form between the points of a step.
        highest = order + (corrector != "none")
        tolerance = 1e-9 if highest < 3 else 2e-3
        torch.testing.assert_close(found, run(denoiser, plain), rtol=tolerance, atol=tolerance)


def test_the_pseudo_variant_is_a_choice_of_points() -> None:
    """Divided differences of the nearest points: each derivative from one point more."""
    denoiser = denoiser_of("vp")
    artifact = constant(denoiser, l=1)
    chosen = {"order": 3, "points": [[-2], [-2, -3]]}
    plain = [{"time": t, "form": "taylor", **chosen} for t in TIMES["vp"]]
    empirical = [{"time": t, "form": "v3", **chosen} for t in TIMES["vp"]]
    found = run(denoiser, empirical, artifact)
    torch.testing.assert_close(found, run(denoiser, plain), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_one_step_is_exact_with_a_gaussians_statistics(name: str) -> None:
    schedule = SCHEDULES[name]
    mean, variance = np.array([0.5, -1.0, 2.0]), np.array([0.3, 1.0, 2.5])
    denoiser = ExactDenoiser(
        Mixture.gaussian(mean, np.diag(variance)), schedule, "data", dtype=torch.float64
    )
    log_snrs = torch.linspace(-3, 4, 1401, dtype=torch.float64)
    scale = torch.exp(-2 * log_snrs)[:, None]  # (sigma / alpha)**2
    own = torch.as_tensor(variance)
    # noise = (x - alpha mean) sigma / (alpha**2 variance + sigma**2)
    linear = scale / (own + scale)
    # f = -l mean, of which the derivative is the statistic b; s has nothing to say.
    slope = 2 * linear * (1 - linear) * torch.as_tensor(mean)
    artifact = kept(denoiser, log_snr=log_snrs, l=linear, s=torch.zeros_like(linear), b=slope)
    start, end = schedule.time(-2.5), 3.0
    found = run(denoiser, [{"time": start, "form": "v3"}], artifact, end)
    (alpha, sigma), (next_alpha, next_sigma) = map(schedule.alpha_sigma, (-2.5, end))
    noise = torch.randn(
        6, DIMENSION, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    x = float(np.hypot(alpha, sigma)) * noise
    ratio = torch.sqrt((next_alpha**2 * own + next_sigma**2) / (alpha**2 * own + sigma**2))
    centre = torch.as_tensor(mean)
    truth = next_alpha * centre + ratio * (x - alpha * centre)
    torch.testing.assert_close(found, truth, rtol=2e-5, atol=2e-5)
    ddim = run(denoiser, [{"time": start}], None, end)
    assert (ddim - truth).abs().max() > 0.1


def test_any_solver_may_come_before_and_after() -> None:
    denoiser = denoiser_of("vp")
    artifact = constant(denoiser, l=1)
    forms = [
        {},
        {"form": "v3", "order": 2, "corrector": "pseudo"},
        {"form": "unipc_bh2", "order": 2, "corrector": "pseudo"},
        {"form": "v3", "order": 3},
        {},
    ]
    steps = [{"time": t, **chosen} for t, chosen in zip(TIMES["vp"], forms, strict=True)]
    mixed = run(denoiser, steps, artifact)
    for step in steps:
        if step.get("form") == "v3":
            step["form"] = "taylor"
    torch.testing.assert_close(mixed, run(denoiser, steps), rtol=2e-3, atol=2e-3)


def test_what_is_missing_or_does_not_fit_is_said() -> None:
    denoiser = denoiser_of("vp")
    steps = [{"time": 900, "form": "v3"}, {"time": 300}]
    with pytest.raises(UserError, match="artifacts has no 'v3'"):
        run(denoiser, steps)
    tables = {name: torch.zeros(5, DIMENSION + 1) for name in "lsb"}
    other = kept(denoiser, log_snr=torch.arange(5.0), **tables)
    with pytest.raises(UserError, match="no statistics for samples of shape"):
        run(denoiser, steps, other)
    # To the clean end every step is DDIM: a table that nobody looks at is not part of the plan.
    plain = run(denoiser, [{"time": 900, "form": "v3"}], other)
    assert torch.equal(plain, run(denoiser, [{"time": 900}]))
