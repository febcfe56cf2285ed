"""What every model owes, as a class of tests to inherit."""

import json
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch

from autosearch._typing import Rows
from autosearch.baselines import baseline
from autosearch.diffusion.noise import Stream, draw
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.sites.branches import COND
from autosearch.engine.workers.base import SampleTask
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.models.base import Model
from autosearch.models.spec import LoadedModel
from autosearch.recipe import Recipe

__all__ = ["ModelContract"]

_MODELS: dict[type, Model] = {}
_PREDICTIONS = ("noise", "data", "v", "flow")


class ModelContract:
    """Inherit it in a test file, say what to make, and pytest runs the tests below.

    Attributes:
        make: loads the model; ``load`` with its settings by ``functools.partial``, or a function.
        sampler: a named recipe of two steps or more that the model can run.
        samples: how many are drawn where a few will do.
        tolerance: how far a sample may lie from the same one in a batch of another size, relative
            to the largest number of the batch: libraries add up in other orders.
    """

    make: ClassVar[Callable[[], Model]]
    sampler: ClassVar[str] = "ddim@3"
    samples: ClassVar[int] = 10
    tolerance: ClassVar[float] = 1e-4

    def test_it_has_a_name_and_a_summary_of_one_line(self) -> None:
        model = self.model()
        assert model.name.isidentifier(), f"name {model.name!r} is no identifier"
        assert model.summary.strip(), "the summary is empty"
        assert "\n" not in model.summary, "the summary has more than one line"

    def test_its_denoiser_says_what_it_was_trained_for(self) -> None:
        denoiser = self.model().denoiser
        schedule = denoiser.schedule
        assert schedule.log_snr(schedule.first) < schedule.log_snr(schedule.last), (
            "the first time of its schedule is not the noisiest"
        )
        assert denoiser.prediction in _PREDICTIONS, f"unknown prediction {denoiser.prediction!r}"
        assert denoiser.macs > 0, "a forward without multiply-accumulates has no price"
        assert denoiser.weights, "no digest of the weights"
        assert set(denoiser.conditions) <= {"cond", "uncond"}, denoiser.conditions

    def test_each_label_comes_equally_often(self) -> None:
        model = self.model()
        size, classes = model.block_size, max(model.denoiser.classes, 1)
        assert size % classes == 0, f"blocks of {size} do not hold {classes} classes equally often"
        together = model.labels(range(size), Stream.EVALUATE)
        counts = np.bincount(together.numpy(), minlength=classes)
        assert (counts == size // classes).all(), "labels are not balanced"
        alone = [int(model.labels([k], Stream.EVALUATE)) for k in range(size)]
        assert alone == together.tolist(), "a sample's label depends on who is asked for beside it"

    def test_the_network_answers_for_each_sample_alone(self) -> None:
        model = self.model()
        denoiser = model.denoiser
        shape = denoiser.sample_shape
        x = draw(0, Stream.EVALUATE, range(self.samples), shape)
        x = x.to(device=denoiser.device, dtype=denoiser.dtype)
        labels = model.labels(range(self.samples), Stream.EVALUATE).to(denoiser.device)
        time = self.plan().steps[-1].time
        given = x.clone()

        def predict(count: int) -> torch.Tensor:
            said: torch.Tensor = denoiser.denoise(
                x[:count], time, labels[:count], branches=(COND,)
            )[COND.name]
            return said

        all_of_them, some = predict(self.samples), predict(self.samples // 2)
        assert all_of_them.shape == x.shape, f"it answers {list(all_of_them.shape)}"
        assert bool(all_of_them.isfinite().all()), "its prediction is not finite"
        assert torch.equal(x, given), "it changes what it is given"
        assert torch.equal(all_of_them, predict(self.samples)), "asked twice, it answers otherwise"
        assert _near(all_of_them[: len(some)], some, self.tolerance), "samples of a batch mix"

    def test_samples_do_not_depend_on_how_they_are_asked_for(self) -> None:
        needs = {"final"} | ({"features"} & set(self.model().widths))
        both = self.rows(self.plan(), needs, (0, 1))
        for place, block in enumerate((0, 1)):
            alone = self.rows(self.plan(), needs, (block,))
            for name, rows in alone.items():
                part = both[name][place * self.samples : (place + 1) * self.samples]
                assert np.array_equal(part, rows), f"{name} depend on the blocks beside"
        assert not np.array_equal(both["final"][: self.samples], both["final"][self.samples :]), (
            "two blocks of equal samples"
        )

    def test_it_gives_the_rows_that_it_declares(self) -> None:
        model = self.model()
        widths = model.widths
        rows = self.rows(self.plan(), set(widths), (0,))
        for name, width in widths.items():
            shape = rows[name].shape
            assert shape == (self.samples, width), f"{name}: {shape}, declared are {width} columns"
            assert np.isfinite(rows[name]).all(), f"{name} are not finite"
        x = torch.as_tensor(self.rows(self.plan(), {"final"}, (0,))["final"])
        x = x.view(-1, *model.denoiser.sample_shape).to(model.denoiser.device)
        assert not model.rows(x, frozenset()), "rows that nobody asked for"

    def test_its_reference_fits_its_rows(self) -> None:
        model = self.model()
        for name, width in model.widths.items():
            for key in (name, f"{name}_mean", f"{name}_cov"):
                data = model.reference.get(key)
                if data is not None:
                    assert data.shape[-1] == width, (
                        f"reference {key!r} has {data.shape[-1]} columns"
                    )
                    assert np.isfinite(data).all(), f"reference {key!r} is not finite"

    def test_images_are_8_bit_colour(self) -> None:
        """A model without images passes."""
        model = self.model()
        x = torch.as_tensor(self.rows(self.plan(), {"final"}, (0,))["final"])
        images = model.images(x.view(-1, *model.denoiser.sample_shape).to(model.denoiser.device))
        if images is not None:
            assert images.dtype == torch.uint8, f"images of {images.dtype}"
            assert images.shape[:2] == (self.samples, 3), f"images of shape {list(images.shape)}"

    def test_every_site_is_intercepted_and_priced(self) -> None:
        """A model without sites passes."""
        denoiser = self.model().denoiser
        data = baseline(self.sampler, denoiser).to_dict()
        plain = self.plan()
        samples = self.rows(plain, {"final"}, (0,))["final"]
        for site in denoiser.sites:
            changed = json.loads(json.dumps(data))
            changed["steps"][1]["sites"] = {site.name: "skip"}
            plan = compile_recipe(Recipe.from_dict(changed), denoiser)
            saved = plain.macs - plan.macs
            assert math.isclose(saved, site.macs), f"{site.name} costs {site.macs}, saved {saved}"
            final = self.rows(plan, {"final"}, (0,))["final"]
            assert not np.array_equal(final, samples), f"{site.name} left out changes nothing"

    def model(self) -> Model:
        """The model; the same for all tests of a class."""
        if type(self) not in _MODELS:
            # From the class, so that a function is not taken for a method.
            _MODELS[type(self)] = type(self).make()
        return _MODELS[type(self)]

    def plan(self) -> Plan:
        """The plan of the recipe that is sampled with."""
        return compile_recipe(baseline(self.sampler, self.model().denoiser), self.model().denoiser)

    def rows(self, plan: Plan, needs: set[str], blocks: tuple[int, ...]) -> Rows:
        """What a worker brings of some blocks of a few samples."""
        options: dict[str, Any] = {}
        evaluator = ModelEvaluator(LoadedModel(self.model().name, options, self.model()))
        task = SampleTask(0, plan, 3, Stream.EVALUATE, blocks, self.samples, frozenset(needs))
        return evaluator.evaluate(task).rows


def _near(one: torch.Tensor, other: torch.Tensor, tolerance: float) -> bool:
    largest = max(float(other.abs().max()), 1e-30)
    return float((one - other).abs().max()) <= tolerance * largest
