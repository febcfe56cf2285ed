"""Measures a model by one method, outside a search: writes recipes, or a file of statistics."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autosearch.baselines.fitted import FITS, Calibrator
from autosearch.baselines.fitted.cascade import Cascade
from autosearch.baselines.fitted.names import resolve
from autosearch.baselines.fitted.v3 import write_calibration
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.solvers.forms.v3 import STATISTICS
from autosearch.errors import UserError, unknown_name

__all__ = ["CASCADE", "METHODS", "Calibrated", "calibrate"]

# By method, the solver that it is published for.
METHODS: Mapping[str, str] = {
    "boss": "ddim",
    "dc": "unipc",
    "olss": "ddim",
    STATISTICS: "ddim",
}
_ALIASES = {"dpm-solver-v3": STATISTICS, "dc-solver": "dc"}
CASCADE = "cascade.json"


@dataclass(frozen=True)
class Calibrated:
    """Files that a calibration wrote, and its cost in forwards of one sample."""

    files: Sequence[Path]
    forward_equivalents: float


def calibrate(
    denoiser: Denoiser,
    method: str,
    output: Path,
    *,
    solver: str | None = None,
    steps: tuple[int, int] | None = None,
    samples: int | None = None,
    seed: int = 0,
) -> Calibrated:
    """Measure a model.

    Statistics (``v3``) serve recipes of any length: ``output`` is one file, which the baseline
    ``SOLVER+v3_from:FILE`` takes. Of the other methods the result is a recipe for each number of
    steps: ``output`` is a folder of them; DC-Solver's also gets its cascade polynomial.

    Args:
        denoiser: the model.
        method: one of :data:`METHODS`, or a name that its authors use.
        output: a folder, or a ``.safetensors`` file for statistics.
        solver: ``SOLVER[-GRID]`` that is fitted; by default the one of the publication.
        steps: the least and the largest number; 3 and 10 by default.
        samples: to measure on; the method's own number by default.
        seed: of the calibrator.

    Raises:
        UserError: for what cannot be measured or written.
    """
    name = _ALIASES.get(method, method)
    if name not in METHODS:
        raise unknown_name("method", method, [*METHODS, *_ALIASES], where="--method")
    if seed < 0:
        raise UserError(f"--seed: {seed} is below 0; use 0 or more")
    calibrator = Calibrator(denoiser, seed=seed)
    base = solver or METHODS[name]
    asked = f"{base}+{_with_settings(name, samples)}"
    if name == STATISTICS:
        if steps is not None:
            raise UserError("--steps: statistics serve any number of steps; leave it out")
        if output.suffix != ".safetensors":
            raise UserError(f"-o {output}: statistics are written as .safetensors; use that suffix")
        found = resolve(f"{asked}@10", calibrator).recipe.artifacts[STATISTICS]
        write_calibration(output, found, calibrator)
        return Calibrated([output], calibrator.forward_equivalents)
    low, high = steps or (3, 10)
    if not 1 <= low <= high:
        raise UserError(f"--steps: {low} {high} is no range; write the least and the largest")
    recipes = {n: resolve(f"{asked}@{n}", calibrator).recipe for n in range(low, high + 1)}
    texts = {f"{base}+{name}@{count}.json": one.to_dict() for count, one in recipes.items()}
    if name == "dc" and high >= 3:
        cascade = Cascade.fit(list(recipes.values()), model=denoiser.weights)
        texts[CASCADE] = cascade.to_dict()
    return Calibrated(_written(output, texts), calibrator.forward_equivalents)


def _with_settings(name: str, samples: int | None) -> str:
    """A fit as a baseline's name gives it, its samples as asked for."""
    values = []
    for one in FITS[name].settings:
        value = samples if samples is not None and one.name == "samples" else one.default
        if not one.low <= value <= one.high:
            raise UserError(f"--samples: {value:g} is outside {one.low:g} to {one.high:g}")
        values.append(f"{value!r}")
    return ":".join([name, *values])


def _written(folder: Path, texts: Mapping[str, Any]) -> list[Path]:
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in texts.items():
            path = folder / name
            path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
            paths.append(path)
    except OSError as error:
        raise UserError(f"-o {folder}: cannot write: {error.strerror}; give a folder") from None
    return paths
