"""How hard a model is for fixed solvers: the best few at each number of network evaluations.

``python -m autosearch.experiments.benchmarks.fixed photos --counts 4 6 8 10 20``

The named solvers, on every grid of the model or on those given, are screened on few samples; the
best few of each count are measured on fresh noise and printed with their FID over the reference's,
where one is shipped. With ``--each`` they are the best few of each solver:

``python -m autosearch.experiments.benchmarks.fixed mixture --each --finalists 1 --counts 3 4 5 6
--solvers unipc ipndm lms``
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autosearch.baselines import baseline, baseline_names, split_name
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.engine.evaluate import RecipeEvaluation, RecipeEvaluator
from autosearch.errors import UserError
from autosearch.models.spec import ModelSpec
from autosearch.recipe import Recipe

__all__ = ["best_fixed"]

SOLVERS = ("ddim", "dpmpp_2m", "taylor_2m", "taylor_3m", "dpm_2m", "deis_t_2", "unipc", "dpmpp_2s")
_SCREEN_SEED = 1_000_003


def best_fixed(
    model: str,
    *,
    counts: Sequence[int],
    solvers: Sequence[str],
    screening: int,
    samples: int,
    seed: int,
    finalists: int,
    workers: int | None,
    grids: Sequence[str] | None = None,
    each: bool = False,
) -> list[dict[str, Any]]:
    """One row for each finalist: its name, evaluations, FID, interval and ratio to the reference.

    Args:
        model: the name of a bundled one.
        counts: numbers of evaluations.
        solvers: names of solvers.
        screening: how many samples pick the best few.
        samples: how many samples measure them.
        seed: of the noise that measures them.
        finalists: how many of each count are measured.
        workers: how many processes sample; by default as many as there are cores.
        grids: names of grids besides each solver's own; all of the model's by default.
        each: whether the finalists are those of each solver.
    """
    spec = ModelSpec(model)
    screen = RecipeEvaluator(
        spec, samples=screening, seed=_SCREEN_SEED, objectives=["fid"], workers=workers
    )
    shipped = screen.model.figures.get("reference")
    reference = shipped["values"]["fid"]["value"] if shipped else None
    final = RecipeEvaluator(spec, samples=samples, seed=seed, objectives=["fid"], workers=workers)
    rows = []
    for count in counts:
        fixed = fixed_recipes(screen.model.denoiser, solvers, count, grids)
        groups: dict[str, dict[str, Recipe]] = {}
        for name, recipe in fixed.items():
            groups.setdefault(split_name(name).solver if each else "", {})[name] = recipe
        best = [name for group in groups.values() for name in _best(screen, group, finalists)]
        measured = final.evaluate({name: fixed[name] for name in best})
        rows += [_row(found, count, reference) for found in sorted(measured, key=_fid)]
    return rows


def fixed_recipes(
    denoiser: Denoiser,
    solvers: Sequence[str],
    count: int,
    grids: Sequence[str] | None = None,
) -> dict[str, Recipe]:
    """The solvers on every grid, or on some, at so many network evaluations; equal plans once."""
    found, known = {}, set()
    for name in baseline_names(denoiser.schedule, solvers=solvers):
        grid = split_name(f"{name}@1").grid
        if grids is not None and grid not in (None, *grids):
            continue
        # One more where the first step is analytic, fewer where a step takes two.
        for steps in range(1, count + 2):
            try:
                recipe = baseline(f"{name}@{steps}", denoiser)
                plan = compile_recipe(recipe, denoiser)
            except UserError:
                continue  # this grid has no such step count
            if plan.nfe == count and plan.identity not in known:
                known.add(plan.identity)
                found[f"{name}@{steps}"] = recipe
    return found


def _best(screen: RecipeEvaluator, recipes: Mapping[str, Recipe], count: int) -> list[str]:
    """The best so many; where they are all, nothing is evaluated."""
    if len(recipes) <= count:
        return list(recipes)
    return [found.name for found in sorted(screen.evaluate(recipes), key=_fid)[:count]]


def _fid(found: RecipeEvaluation) -> float:
    return found.values["fid"].value


def _row(found: RecipeEvaluation, count: int, reference: float | None) -> dict[str, Any]:
    estimate = found.values["fid"]
    return {
        "evaluations": count,
        "recipe": found.name,
        "fid": estimate.value,
        "ci": list(estimate.interval()),
        "over_reference": estimate.value / reference if reference else None,
    }


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| evaluations | recipe | FID (95%) | over the reference's |",
        "|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["ci"]
        over = "" if row["over_reference"] is None else f"{row['over_reference']:.2f}"
        lines.append(
            f"| {row['evaluations']} | `{row['recipe']}` | {row['fid']:.4f} "
            f"({low:.4f} to {high:.4f}) | {over} |"
        )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Find the best fixed solvers of a model.")
    parser.add_argument("model")
    parser.add_argument("--counts", type=int, nargs="+", default=[4, 6, 8, 10, 20])
    parser.add_argument("--solvers", nargs="+", default=list(SOLVERS))
    parser.add_argument("--screening", type=int, default=400, help="samples that pick the best")
    parser.add_argument("--samples", type=int, default=4000, help="samples that measure them")
    parser.add_argument("--finalists", type=int, default=2)
    parser.add_argument("--each", action="store_true", help="finalists of each solver")
    parser.add_argument("--grids", nargs="+", help="besides each solver's own; by default all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, help="by default this process alone")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    rows = best_fixed(
        options.model,
        counts=options.counts,
        solvers=options.solvers,
        screening=options.screening,
        samples=options.samples,
        seed=options.seed,
        finalists=options.finalists,
        workers=options.workers,
        grids=options.grids,
        each=options.each,
    )
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(_markdown(rows) + "\n")


if __name__ == "__main__":
    main()
