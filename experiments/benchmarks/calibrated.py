"""Calibrated solvers side by side: FID, distance to the fine trajectory, and what measuring costs.

``python -m autosearch.experiments.benchmarks.calibrated mixture --steps 3 10 --samples 4000``

Every method is run at every number of steps, all on the same fresh noise. Studies may stand beside
them: ``--searched times=runs/a everything=runs/b`` takes the recipe with the lowest validated FID
at each number of evaluations. Statistics are measured once for all methods that use them, and
charged to the first.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.names import resolve
from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.engine.evaluate import RecipeEvaluation, RecipeEvaluator
from autosearch.errors import UserError
from autosearch.models.spec import ModelSpec
from autosearch.recipe import Recipe
from autosearch.study.front import Front
from autosearch.study.study import Study

__all__ = ["METHODS", "calibrated_rows"]

METHODS = (
    "ddim",
    "dpmpp_2m",
    "dpmpp_3m",
    "unipc",
    "deis",
    "evodiff",
    "dpmpp_2m+v3",
    "unipc+v3",
    "unipc+dc",
    "ddim+olss",
    "ddim+boss",
    "dpmpp_2m+boss",
)
# Fits that choose times themselves, whatever the grid.
_TIMED = ("olss", "boss")


def calibrated_rows(
    model: str,
    *,
    counts: Sequence[int],
    methods: Sequence[str],
    grid: str | None,
    samples: int,
    seed: int,
    searched: Mapping[str, Path],
    workers: int | None,
) -> list[dict[str, Any]]:
    """One row for each method: its cost in forwards of one sample, and values by step count.

    Args:
        model: the name of a bundled one.
        counts: numbers of steps.
        methods: names of fitted recipes, without their numbers of steps.
        grid: of the methods that do not choose times themselves; their own where it is None.
        samples: samples of each measurement.
        seed: of the fresh noise; calibrations take another stream.
        searched: studies by a label.
        workers: how many processes sample; by default as many as there are cores.
    """
    evaluator = RecipeEvaluator(
        ModelSpec(model),
        samples=samples,
        seed=seed,
        objectives=["fid", "teacher_mse", "nfe"],
        workers=workers,
    )
    rows, recipes = [], {}
    for method in methods:
        cost = 0.0
        for count in counts:
            calibrator = Calibrator(evaluator.model.denoiser, evaluator.artifact_store)
            resolved = resolve(_name(method, grid, count), calibrator)
            recipes[f"{method}@{count}"] = resolved.recipe
            cost += resolved.forward_equivalents
        rows.append({"method": method, "cost": cost})
    for label, directory in searched.items():
        found = _searched(directory, counts, evaluator.model.denoiser)
        for recipe in found.values():
            evaluator.artifact_store.take(recipe, ArtifactStore([directory / FOLDER]))
        recipes |= {f"{label}@{count}": recipe for count, recipe in found.items()}
        spent = Front.of(Study.read(directory)).spending["forward_equivalents"]
        rows.append({"method": label, "cost": spent})
    measured = {e.name: e for e in evaluator.evaluate(recipes)}
    for row in rows:
        row["values"] = {
            count: _values(measured[name])
            for count in counts
            if (name := f"{row['method']}@{count}") in measured
        }
    return rows


def _name(method: str, grid: str | None, count: int) -> str:
    solver, _, fit = method.partition("+")
    on = f"-{grid}" if grid and fit.partition(":")[0] not in _TIMED else ""
    return f"{solver}{on}{'+' if fit else ''}{fit}@{count}"


def _searched(directory: Path, counts: Sequence[int], denoiser: Denoiser) -> dict[int, Recipe]:
    """The best recipe of a study at each number of evaluations that it has."""
    best: dict[int, tuple[float, Recipe]] = {}
    for point in Front.of(Study.read(directory)).points:
        count = compile_recipe(point.recipe, denoiser).nfe
        if "fid" not in point.validated or count not in counts:
            continue
        fid = point.value("fid")
        if count not in best or fid < best[count][0]:
            best[count] = fid, point.recipe
    return {count: recipe for count, (_, recipe) in best.items()}


def _values(found: RecipeEvaluation) -> dict[str, Any]:
    fid = found.values["fid"]
    return {
        "fid": fid.value,
        "ci": list(fid.interval()),
        "distance": found.values["teacher_mse"].value,
        "nfe": found.values["nfe"].value,
    }


def markdown(rows: Sequence[Mapping[str, Any]], counts: Sequence[int], key: str) -> str:
    """One table: methods down, step counts across."""
    head = ["method", "cost", *map(str, counts)]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        cells = [row["values"].get(count) for count in counts]
        texts = ["" if cell is None else f"{cell[key]:.4f}" for cell in cells]
        lines.append([row["method"], f"{row['cost']:,.0f}", *texts])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _studies(texts: Sequence[str]) -> dict[str, Path]:
    found = {}
    for text in texts:
        label, _, directory = text.partition("=")
        if not directory:
            raise UserError(f"--searched {text}: write LABEL=DIR")
        found[label] = Path(directory)
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compare calibrated solvers.")
    parser.add_argument("model")
    parser.add_argument("--steps", type=int, nargs=2, default=[3, 10], metavar=("LOW", "HIGH"))
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--grid", help="of all methods that do not choose times themselves")
    parser.add_argument("--searched", nargs="+", default=[], metavar="LABEL=DIR")
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="0 for this process alone")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    counts = list(range(options.steps[0], options.steps[1] + 1))
    rows = calibrated_rows(
        options.model,
        counts=counts,
        methods=options.methods,
        grid=options.grid,
        samples=options.samples,
        seed=options.seed,
        searched=_studies(options.searched),
        workers=options.workers or None,
    )
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    for title, key in (("FID", "fid"), ("Mean square distance", "distance")):
        sys.stdout.write(f"{title}\n\n{markdown(rows, counts, key)}\n\n")


if __name__ == "__main__":
    main()
