"""Classifier guidance, against gradients written out."""

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from autosearch.baselines import SOLVERS, baseline
from autosearch.diffusion.classifier import Classifier, ClassifierTerm, classifier_shift
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, model_key
from autosearch.diffusion.prediction import Prediction, to_data_and_noise
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Recipe

TIMES = (900.0, 650.0, 300.0, 80.0)
KINDS: list[tuple[NoiseSchedule, Prediction, Sequence[float]]] = [
    (VariancePreserving(), "noise", TIMES),
    (VariancePreserving(), "v", TIMES),
    (EDM(), "data", (70.0, 9.0, 1.2, 0.1)),
    (RectifiedFlow(), "flow", (1.0, 0.7, 0.3, 0.1)),
]
LABELS = torch.arange(6) % 3
NOISE = torch.randn(6, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


class Linear(Classifier):
    """Logits ``x W``, whose gradient is known."""

    macs = 6

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.weights = torch.randn(2, 3, generator=generator, dtype=torch.float64)

    def logits(self, data: Tensor) -> Tensor:
        return data @ self.weights

    def gradient(self, data: Tensor, labels: Tensor, term: ClassifierTerm) -> Tensor:
        """Of ``t f_y - logsumexp(d t f)``."""
        t, d = term.temperature, term.discount
        shares = torch.softmax(d * t * self.logits(data), dim=1)
        return t * (self.weights.T[labels] - d * shares @ self.weights.T)


def made(schedule: NoiseSchedule, prediction: Prediction) -> ExactDenoiser:
    mixture = Mixture.random(components=3, dimension=2, seed=1)
    denoiser = ExactDenoiser(mixture, schedule, prediction, dtype=torch.float64)
    denoiser.classes, denoiser.classifier = 3, Linear()
    return denoiser


def compiled(denoiser: ExactDenoiser, times: Sequence[float], **rule: float) -> Plan:
    steps = [{"time": time, "guidance": {"rule": "classifier", **rule}} for time in times]
    data = {"version": 1, "model": model_key(denoiser).model_dump(), "steps": steps}
    return compile_recipe(Recipe.from_dict(data), denoiser)


TERMS = st.builds(
    lambda *numbers: ClassifierTerm(*(round(number, 3) for number in numbers)),
    st.floats(-2, 3),
    st.floats(0.1, 3),
    st.floats(0, 1.5),
)


@pytest.mark.parametrize(("schedule", "prediction", "times"), KINDS)
@given(term=TERMS)
@settings(max_examples=6, deadline=None)
def test_the_sampler_climbs_the_formula(
    schedule: NoiseSchedule, prediction: Prediction, times: Sequence[float], term: ClassifierTerm
) -> None:
    denoiser = made(schedule, prediction)
    plan = compiled(denoiser, times, **dataclasses.asdict(term))
    with torch.inference_mode():
        got = sample(denoiser, plan, NOISE, LABELS)
    assert isinstance(denoiser.classifier, Linear)
    x = plan.start_scale * NOISE
    for step in plan.steps:
        alpha, sigma = schedule.alpha_sigma(step.log_snr)
        output = denoiser.denoise(x, step.time, LABELS)["cond"]
        data, _ = to_data_and_noise(prediction, output, x, alpha, sigma)
        gradient = denoiser.classifier.gradient(data, LABELS, term)
        data = data + term.scale * sigma**2 / (alpha**2 + sigma**2) * gradient
        next_alpha, next_sigma = schedule.alpha_sigma(step.next_log_snr)
        x = next_alpha * data + next_sigma / sigma * (x - alpha * data)
    torch.testing.assert_close(got, x, rtol=1e-7, atol=1e-7)


def test_terms_add_up_and_no_discount_of_certainty_is_a_posterior() -> None:
    classifier = Linear()
    terms = [ClassifierTerm(0.7, 1.0, 1.0), ClassifierTerm(0.4, 2.0, 0.5)]
    together = classifier_shift(classifier, terms, NOISE, LABELS, alpha=0.6, sigma=0.8)
    apart = [classifier_shift(classifier, [t], NOISE, LABELS, alpha=0.6, sigma=0.8) for t in terms]
    torch.testing.assert_close(together, apart[0] + apart[1])
    # With one temperature, the gradients of all classes' log posteriors balance.
    posterior = torch.softmax(classifier.logits(NOISE), dim=1)
    total = sum(
        posterior[:, [k]]
        * classifier_shift(
            classifier, terms[:1], NOISE, torch.full_like(LABELS, k), alpha=0.6, sigma=0.8
        )
        for k in range(3)
    )
    torch.testing.assert_close(total, torch.zeros_like(NOISE), rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_it_goes_with_every_solver(solver: str) -> None:
    """Scale 0 is the plain plan, another one moves the samples, and towards their classes."""
    denoiser = made(VariancePreserving(), "noise")
    plain = baseline(f"{solver}@6", denoiser)
    generator = torch.Generator().manual_seed(5)
    noises = torch.randn(60, 6, 2, generator=generator, dtype=torch.float64)

    def guided(scale: float) -> Plan:
        data = plain.to_dict()
        for step in data["steps"]:
            step["guidance"] = {"rule": "classifier", "scale": scale}
        return compile_recipe(Recipe.from_dict(data), denoiser)

    def score(plan: Plan) -> float:
        x = sample(denoiser, plan, noises[0], LABELS, step_noise=lambda k: noises[k])
        assert denoiser.classifier is not None
        log_p = torch.log_softmax(denoiser.classifier.logits(x), dim=1)
        return float(log_p.gather(1, LABELS[:, None]).mean())

    assert guided(0) == compile_recipe(plain, denoiser)
    assert guided(0.5).forwards == guided(0).forwards
    assert score(guided(0.5)) > score(guided(0))


def test_the_bundled_classifier_guides_towards_its_own_label() -> None:
    from autosearch.models import DigitsModel

    model = DigitsModel.load()
    classifier = model.denoiser.classifier
    assert classifier is not None
    x = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.5
    labels = torch.arange(20) % 10
    with torch.inference_mode():
        shift = classifier_shift(
            classifier, [ClassifierTerm(0.01, 1.0, 1.0)], x, labels, alpha=0.6, sigma=0.8
        )
    assert shift.dtype == x.dtype

    def log_p(images: Tensor) -> Tensor:
        found: Tensor = torch.log_softmax(classifier.logits(images), dim=1)
        return found.gather(1, labels[:, None])[:, 0]

    assert (log_p(x + shift) > log_p(x)).all()
    # 64 x 256 + 256 x 64 + 64 x 10
    assert classifier.macs == 33_408
    rows = model.rows(x.clamp(-1, 1), frozenset({"logits"}))["logits"]
    logits = classifier.logits(((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1)
    torch.testing.assert_close(logits.double(), torch.as_tensor(rows), rtol=1e-4, atol=1e-4)
