"""Rows that need the labels: what workers return for accuracy and rewards."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan import compile_recipe
from autosearch.engine.measure import Measure
from autosearch.engine.workers.base import SampleTask
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.errors import UserError
from autosearch.models import DigitsModel, MixtureModel
from autosearch.models.rewards import attach_rewards
from autosearch.models.spec import ModelSpec
from autosearch.objectives import ClassAccuracy, Reward, RewardObjective


class Length(Reward):
    """How long the prompt is, and how bright the image."""

    @classmethod
    def load(cls, settings: Any, *, where: str) -> "Length":
        return cls()

    def score(self, images: Tensor, prompts: Any) -> Tensor:
        lengths = torch.tensor([float(len(prompt)) for prompt in prompts])
        return 100.0 * lengths + images.double().mean(dim=(1, 2, 3)) / 255


class LengthScore(RewardObjective):
    name = "length"
    summary = "length of the prompt"
    reward = Length


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a package's entry point would register it."""
    from autosearch import objectives

    monkeypatch.setattr(objectives.REGISTRY, "builtin", (*objectives.BUILTIN, LengthScore))


def task(model: DigitsModel, *needs: str) -> SampleTask:
    plan = compile_recipe(baseline("ddim@2", model.denoiser), model.denoiser)
    return SampleTask(1, plan, 0, Stream.SEARCH, (0, 1), 100, frozenset(needs))


@pytest.mark.usefixtures("known")
def test_a_third_party_reward_is_scored_where_samples_are_made() -> None:
    prompts = ["x" * (i + 1) for i in range(10)]
    spec = ModelSpec("digits", {"rewards": {"length": "anywhere", "prompts": prompts}})
    evaluator = ModelEvaluator(spec)
    assert isinstance(evaluator.model, DigitsModel)
    rows = evaluator.evaluate(task(evaluator.model, "length", "labels", "logits")).rows
    assert set(rows) == {"length", "labels", "logits"}
    assert rows["labels"].tolist() == [i % 10 for i in range(200)]
    assert (rows["length"] // 100).tolist() == [i % 10 + 1 for i in range(200)]
    assert len(np.unique(rows["length"])) > 100
    measure = Measure(evaluator.model, [LengthScore(), ClassAccuracy()])
    assert measure.needs == {"length", "labels", "logits"}
    plan = task(evaluator.model, "length").plan
    estimates = measure.estimates(plan, rows, samples=200)
    assert estimates["length"].value == pytest.approx(550, abs=1)
    assert 0 < estimates["class_accuracy"].value <= 1


def test_models_without_labels_give_no_accuracy() -> None:
    with pytest.raises(UserError, match="'class_accuracy' needs labels, logits, which model"):
        Measure(MixtureModel.load(), [ClassAccuracy()])


@pytest.mark.usefixtures("known")
def test_models_without_images_have_no_rewards() -> None:
    model = MixtureModel.load()
    model.denoiser.classes = 2
    with pytest.raises(UserError, match="model 'mixture' makes no images"):
        attach_rewards(model, {"length": "x", "prompts": ["a", "b"]})
