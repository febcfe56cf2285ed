"""Measure the figures that ship with a bundled model.

The command is ``python -m autosearch.experiments.training.model_figures``.

The reference is the better of two fine recipes, unguided, on a stream of noise of its own. The
honesty checks say that the features see what an eye sees: real against real is near zero, and the
distance grows with noise, blur, a missing class and copies. The losses of the network's training
come from its weights' file.
"""

import argparse
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter

from autosearch.baselines import baseline
from autosearch.baselines.fine import REFERENCES
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan import compile_recipe
from autosearch.engine.measure import Measure, make_objectives
from autosearch.engine.workers import make_executor
from autosearch.engine.workers.collect import collect
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.models import BUILTIN
from autosearch.models.base import as_rgb
from autosearch.models.bundled import BundledModel
from autosearch.models.spec import ModelSpec
from autosearch.objectives import Objective
from autosearch.study.events import Estimates

__all__ = ["honesty_checks", "reference_figures"]

Images = NDArray[np.uint8]
OBJECTIVES = ("fid", "fid_plain", "fd_pixels", "kid", "is", "precision", "recall")


def reference_figures(
    model: BundledModel, *, samples: int, seed: int, workers: int
) -> dict[str, Any]:
    """The reference record of a study, as :mod:`autosearch.engine.run` would measure it."""
    measure = Measure(model, make_objectives(OBJECTIVES))
    measure.check_samples(samples, where="samples")
    factory = functools.partial(ModelEvaluator, ModelSpec(model.name))
    found = {}
    with make_executor(factory, count=workers, cpus=1, gpus=0) as executor:
        for name in REFERENCES:
            plan = compile_recipe(baseline(name, model.denoiser), model.denoiser)
            part = collect(
                executor,
                plan,
                seed=seed,
                stream=Stream.REFERENCE,
                blocks=range(samples // model.block_size),
                block_size=model.block_size,
                needs=measure.needs,
            )
            found[name] = measure.estimates(plan, part.rows, samples=samples)
            print(name, {k: round(v.value, 5) for k, v in found[name].items()}, flush=True)
    best = min(found, key=lambda name: found[name]["fid"].value)
    record = {"samples": samples, "seed": seed, "recipe": best}
    return record | {"values": TypeAdapter(Estimates).dump_python(found[best])}


def honesty_checks(model: BundledModel) -> dict[str, list[tuple[float, float]]]:
    """(level, plain FID) for each kind of damage to the real images, and real against real."""
    images, classes = model.real_images.numpy(), model.real_labels.numpy()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(images))
    distance = functools.partial(_distance, model)
    curves: dict[str, tuple[tuple[float, ...], Callable[[float], Images]]] = {
        "noise": ((0, 0.02, 0.05, 0.1, 0.2), lambda s: _noisy(images, s)),
        "blur": ((0, 0.25, 0.5, 0.75, 1.0), lambda s: _blurred(images, s)),
        "dropped classes": (
            tuple(k for k in (0, 1, 2, 3, 5) if k < model.denoiser.classes),
            lambda k: images[classes >= k],
        ),
        "copies of each image": (
            (1, 4, 16, 64),
            lambda k: np.repeat(images[order[: len(images) // int(k)]], int(k), axis=0),
        ),
    }
    result = {
        name: [(float(level), distance(damage(level))) for level in levels]
        for name, (levels, damage) in curves.items()
    }
    half = len(images) // 2
    halves = (order[:half], order[half:])
    result["real halves"] = [(i + 1.0, distance(images[h])) for i, h in enumerate(halves)]
    return result


def _distance(model: BundledModel, images: Images) -> float:
    colour = as_rgb(torch.from_numpy(images))
    rows = {"features": model.features.features(colour)["features"].numpy()}
    plain: Objective = make_objectives(["fid_plain"])[0]
    usable = len(rows["features"]) // 2 * 2
    trimmed = {name: value[:usable] for name, value in rows.items()}
    return plain.estimate(trimmed, model.reference, 2).value


def _noisy(images: Images, scale: float) -> Images:
    noise = np.random.default_rng(1).standard_normal(images.shape)
    return np.clip(images + 255 * scale * noise, 0, 255).round().astype(np.uint8)


def _blurred(images: Images, share: float) -> Images:
    """A step towards the 3x3 box mean."""
    padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    size = images.shape[-1]
    mean = sum(padded[..., i : i + size, j : j + size] for i in range(3) for j in range(3)) / 9
    blurred: Images = np.clip((1 - share) * images + share * mean, 0, 255).round().astype(np.uint8)
    return blurred


def main() -> None:
    """The command line."""
    bundled = {cls.name: cls for cls in BUILTIN if issubclass(cls, BundledModel)}
    parser = argparse.ArgumentParser(description="Measure a bundled model's shipped figures.")
    parser.add_argument("model", nargs="?", choices=tuple(bundled), default="digits")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--samples", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    model = bundled[options.model].load()
    figures = {
        "weights": model.denoiser.weights,
        "training": model.training,
        "honesty": honesty_checks(model),
        "reference": reference_figures(
            model, samples=options.samples, seed=options.seed, workers=options.workers
        ),
    }
    options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
