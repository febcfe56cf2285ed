"""The teacher's own error on the exact mixture: as stated, as it is, and others' beside it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from autosearch._typing import Array
from autosearch.baselines import baseline
from autosearch.baselines.fine import teacher
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.engine.teacher import DOUBLED
from autosearch.models.mixture import MixtureModel
from autosearch.recipe import Recipe

__all__ = ["teachers"]

_MODELS: dict[str, dict[str, Any]] = {
    "linear betas": {},
    "scaled linear betas": {"schedule": "scaled_linear"},
    "cosine betas": {"schedule": "cosine"},
    "EDM": {"family": "edm", "schedule": "edm", "prediction": "data"},
    "flow": {"family": "flow", "schedule": "rectified", "prediction": "flow"},
}
_STEPS = (50, 100, 200)
# What is beside it, at a hundred steps.
_OTHERS = ("dpmpp_2m@100", "dpmpp_2m-logsnr@100", "unipc_3-logsnr@100", "taylor_4m-logsnr@100")
_EXACT = 1000


def teachers(*, samples: int = 400, seed: int = 0) -> dict[str, Any]:
    """By model: mean squared distances to a solution of 1,000 steps, from the same noise."""
    return {name: dict(_errors(keys, samples, seed)) for name, keys in _MODELS.items()}


def _errors(keys: dict[str, Any], samples: int, seed: int) -> Iterator[tuple[str, float]]:
    denoiser = MixtureModel.load(**keys, dtype="float64").denoiser
    calibrator = Calibrator(denoiser, seed=seed)

    def ends(recipe: Recipe) -> Array:
        return calibrator.states(recipe, samples)[-1].x.cpu().numpy()

    exact = ends(teacher(denoiser, _EXACT))
    own = {steps: ends(teacher(denoiser, steps)) for steps in {*_STEPS, *(2 * n for n in _STEPS)}}
    for steps in _STEPS:
        yield f"teacher@{steps}", _distance(own[steps], exact)
        yield f"teacher@{steps} as stated", DOUBLED * _distance(own[steps], own[2 * steps])
    for name in _OTHERS:
        yield name, _distance(ends(baseline(name, denoiser)), exact)


def _distance(a: Array, b: Array) -> float:
    return float(np.mean((a - b) ** 2))


def main() -> None:
    """Print the table."""
    found = teachers()
    columns = list(next(iter(found.values())))
    print(f"| | {' | '.join(found)} |\n|{'---|' * (len(found) + 1)}")
    for column in columns:
        print(f"| `{column}` | {' | '.join(f'{row[column]:.1e}' for row in found.values())} |")


if __name__ == "__main__":
    main()
