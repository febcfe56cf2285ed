"""DPM-Solver-v3: with trivial statistics what it came from, with exact ones exact."""

import math
from itertools import pairwise
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
    return sample(denoiser, plan, drawn(), None, artifact_store=STORE)


def drawn() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, DIMENSION, generator=generator, dtype=torch.float64)


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


def gaussian_of(name: str, low: float) -> tuple[ExactDenoiser, Artifact, Tensor, Tensor]:
    """Independent pixels, their statistics from a half log-SNR on; their mean and variance."""
    mean, variance = np.array([0.5, -1.0, 2.0]), np.array([0.3, 1.0, 2.5])
    denoiser = ExactDenoiser(
        Mixture.gaussian(mean, np.diag(variance)), SCHEDULES[name], "data", dtype=torch.float64
    )
    log_snrs = torch.linspace(low, 4, round(200 * (4 - low)) + 1, dtype=torch.float64)
    scale = torch.exp(-2 * log_snrs)[:, None]  # (sigma / alpha)**2
    own, centre = torch.as_tensor(variance), torch.as_tensor(mean)
    # noise = (x - alpha mean) sigma / (alpha**2 variance + sigma**2)
    linear = scale / (own + scale)
    # f = -l mean, of which the derivative is the statistic b; s has nothing to say.
    slope = 2 * linear * (1 - linear) * centre
    artifact = kept(denoiser, log_snr=log_snrs, l=linear, s=torch.zeros_like(linear), b=slope)
    return denoiser, artifact, centre, own


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_one_step_is_exact_with_a_gaussians_statistics(name: str) -> None:
    denoiser, artifact, centre, own = gaussian_of(name, -3)
    schedule = denoiser.schedule
    start, end = schedule.time(-2.5), 3.0
    found = run(denoiser, [{"time": start, "form": "v3"}], artifact, end)
    (alpha, sigma), (next_alpha, next_sigma) = map(schedule.alpha_sigma, (-2.5, end))
    x = float(np.hypot(alpha, sigma)) * drawn()
    ratio = torch.sqrt((next_alpha**2 * own + next_sigma**2) / (alpha**2 * own + sigma**2))
    truth = next_alpha * centre + ratio * (x - alpha * centre)
    torch.testing.assert_close(found, truth, rtol=2e-5, atol=2e-5)
    ddim = run(denoiser, [{"time": start}], None, end)
    assert (ddim - truth).abs().max() > 0.1


@pytest.mark.parametrize("order", [1, 2])
def test_one_step_from_pure_noise_is_exact_too(order: int) -> None:
    """The data are a constant from there to the table's first level."""
    denoiser, artifact, centre, own = gaussian_of("flow", -7)
    steps = [{"time": 1.0, "form": "v3", "corrector": "pseudo"}, {"time": 0.2, "form": "v3"}]
    steps[1] |= {"order": order}
    alpha, sigma = denoiser.schedule.alpha_sigma(3.0)
    truth = alpha * centre + torch.sqrt(alpha**2 * own + sigma**2) * drawn()
    for some in (steps[:1], steps):
        found = run(denoiser, some, artifact, 3.0)
        torch.testing.assert_close(found, truth, rtol=2e-3, atol=2e-3)


def published(
    denoiser: ExactDenoiser,
    tables: dict[str, Tensor],
    indexes: list[int],
    orders: list[int],
    *,
    corrector: int | None,
    pseudo: bool,
) -> Tensor:
    """The authors' algorithm: all integrals from the table's left end, by trapezoids.

    ``corrector``: its order less the predictor's, None for none. ``pseudo``: derivatives are
    divided differences of the nearest points.
    """
    log_snr, linear, scale, offset = (tables[name] for name in ("log_snr", "l", "s", "b"))

    def integral(values: Tensor) -> Tensor:
        parts = 0.5 * log_snr.diff()[:, None] * (values[1:] + values[:-1])
        return torch.cat([torch.zeros_like(values[:1]), parts.cumsum(0)])

    whole_l, whole_s = integral(linear), integral(scale)
    growth = torch.exp(whole_l + whole_s)
    whole_i, whole_b = integral(growth), integral(torch.exp(-whole_s) * offset)
    whole_c = integral(growth * whole_b)

    def derivatives(chosen: list[tuple[int, Tensor]]) -> list[Tensor]:
        at = [float(log_snr[i]) for i, _ in chosen]
        rest = len(chosen) - 1
        if rest and not pseudo:
            matrix = torch.tensor([[(u - at[0]) ** k for k in range(1, rest + 1)] for u in at[1:]])
            right = torch.stack([g - chosen[0][1] for _, g in chosen[1:]]).flatten(1)
            solved = torch.linalg.solve(matrix.double(), right)
            return [
                math.factorial(k) * row.reshape(chosen[0][1].shape)
                for k, row in enumerate(solved, start=1)
            ]
        differences, found = [g for _, g in chosen], []
        for k in range(1, rest + 1):
            differences = [
                (differences[j] - differences[j + 1]) / (at[j] - at[j + k])
                for j in range(rest - k + 1)
            ]
            found.append(math.factorial(k) * differences[0])
        return found

    def moved(y: Tensor, start: int, end: int, used: list[tuple[int, Tensor]]) -> Tensor:
        g = [
            (
                i,
                torch.exp(whole_s[start] - whole_s[i]) * f
                - torch.exp(whole_s[start]) * (whole_b[i] - whole_b[start]),
            )
            for i, f in used
        ]
        between = whole_i[end] - whole_i[start]
        y = (
            torch.exp(whole_l[start] - whole_l[end]) * y
            - torch.exp(-whole_l[end] - whole_s[start]) * between * g[0][1]
            - torch.exp(-whole_l[end]) * (whole_c[end] - whole_c[start] - whole_b[start] * between)
        )
        for k, derivative in enumerate(derivatives(g), start=1):
            power = (log_snr - log_snr[start])[:, None] ** k / math.factorial(k)
            whole = integral(growth / growth[start] * power)
            moment = whole[end] - whole[start]
            y = y - torch.exp(whole_l[start] - whole_l[end]) * moment * derivative
        return y

    (alpha, sigma) = denoiser.schedule.alpha_sigma(float(log_snr[indexes[0]]))
    y = math.hypot(alpha, sigma) * drawn() / alpha
    states: list[Tensor] = []
    seen: list[tuple[int, Tensor]] = []
    for n, (i, j) in enumerate(pairwise(indexes)):
        level = float(log_snr[i])
        alpha, sigma = denoiser.schedule.alpha_sigma(level)
        data = denoiser.posterior_mean(alpha * y, alpha, sigma)
        noise = (alpha * y - alpha * data) / sigma
        seen.append((i, math.exp(-level) * noise - linear[i] * y))
        if corrector is not None and n and orders[n - 1] + corrector > 1:
            used = [seen[-2], seen[-1], *seen[-3::-1]][: orders[n - 1] + corrector]
            y = moved(states[-1], indexes[n - 1], i, used)
        states.append(y)
        y = moved(y, i, j, seen[::-1][: orders[n]])
    return denoiser.schedule.alpha_sigma(float(log_snr[indexes[-1]]))[0] * y


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("corrector", [None, 0, 1])
@pytest.mark.parametrize("pseudo", [False, True])
def test_it_is_the_published_algorithm(
    name: str, order: int, corrector: int | None, pseudo: bool
) -> None:
    denoiser = denoiser_of(name)
    log_snrs = torch.linspace(-4, 3, 2101, dtype=torch.float64)
    u, pixel = log_snrs[:, None], torch.arange(DIMENSION, dtype=torch.float64)
    tables = {
        "log_snr": log_snrs,
        "l": torch.sigmoid(-2 * u + pixel - 1),
        "s": torch.sin(u + pixel) - 0.3,
        "b": torch.cos(2 * u - pixel),
    }
    indexes = [0, 500, 900, 1400, 1700, 2100]
    orders = [min(order, n) for n in range(1, len(indexes))]
    steps: list[dict[str, Any]] = []
    for i, used in zip(indexes, orders, strict=False):
        level = float(log_snrs[i])
        step = {
            "time": denoiser.schedule.time(level),
            "log_snr": level,
            "order": used,
            "form": "v3",
        }
        if pseudo and used == 3:
            step["points"] = [[-2], [-2, -3]]
        if corrector is not None and used + corrector > 1:
            nearest = [[0], [0, -2], [0, -2, -3]][: used + corrector - 1]
            step["corrector"] = {
                "kind": "pseudo",
                "order": used + corrector,
                "points": nearest if pseudo else nearest[-1:] * len(nearest),
            }
        steps.append(step)
    found = run(denoiser, steps, kept(denoiser, **tables), float(log_snrs[-1]))
    truth = published(denoiser, tables, indexes, orders, corrector=corrector, pseudo=pseudo)
    torch.testing.assert_close(found, truth, rtol=1e-4, atol=1e-4)


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
