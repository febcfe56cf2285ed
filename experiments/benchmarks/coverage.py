"""How often 95% intervals of fid hold the long-run value, over disjoint sets of samples."""

import functools
from typing import Any

import numpy as np

from autosearch.baselines import baseline
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan import compile_recipe
from autosearch.engine.measure import Measure, make_objectives
from autosearch.engine.workers import make_executor
from autosearch.engine.workers.collect import collect
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.models.bundled import DigitsModel
from autosearch.models.spec import ModelSpec
from autosearch.objectives import Estimate, compare

__all__ = ["coverage"]


def coverage(
    names: tuple[str, str] = ("dpmpp_2m-leading@3", "dpmpp_2m-quadratic@4"),
    *,
    sets: int = 100,
    samples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Share of sets whose single and paired intervals hold the value from all sets together.

    The long-run value is the mean of the bias-corrected estimates of all sets, whose own error
    is a tenth of one set's.
    """
    model = DigitsModel.load()
    measure = Measure(model, make_objectives(["fid"]))
    blocks = samples // model.block_size
    factory = functools.partial(ModelEvaluator, ModelSpec(model.name))
    found: dict[str, list[Estimate]] = {}
    with make_executor(factory, count="auto", cpus=1, gpus=0) as executor:
        for name in names:
            plan = compile_recipe(baseline(name, model.denoiser), model.denoiser)
            rows = collect(
                executor,
                plan,
                seed=seed,
                stream=Stream.EVALUATE,
                blocks=range(sets * blocks),
                block_size=model.block_size,
                needs=measure.needs,
            ).rows["features"]
            parts = rows.reshape(sets, samples, -1)
            found[name] = [
                measure.estimates(plan, {"features": part}, samples=samples)["fid"]
                for part in parts
            ]
    result: dict[str, Any] = {"sets": sets, "samples": samples, "seed": seed}
    for name in names:
        values = np.array([estimate.value for estimate in found[name]])
        held = [_holds(estimate.interval(), values.mean()) for estimate in found[name]]
        result[name] = {
            "long_run": float(values.mean()),
            "spread": float(values.std(ddof=1)),
            "held": int(np.sum(held)),
        }
    truth = result[names[0]]["long_run"] - result[names[1]]["long_run"]
    pairs = [compare(a, b)[1] for a, b in zip(*(found[name] for name in names), strict=True)]
    result["paired"] = {"long_run": truth, "held": int(sum(_holds(ci, truth) for ci in pairs))}
    return result


def _holds(interval: tuple[float, float], value: float) -> bool:
    return interval[0] <= value <= interval[1]
