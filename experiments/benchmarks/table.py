"""The README's table: each count's best recipe beside ``ddim`` and the best named baseline.

``python -m autosearch.experiments.benchmarks.table runs/digits --samples 8000 --seeds 1 2 3``

Baselines are screened on few samples of another seed; the best few of each count are then measured
with the searched recipe, all on the same fresh noise.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autosearch.baselines import SOLVERS, baseline, baseline_names
from autosearch.errors import UserError
from autosearch.evaluate import Evaluation, RecipeEvaluator
from autosearch.front import front_table
from autosearch.objectives import compare
from autosearch.problem import model_spec
from autosearch.recipe import Recipe
from autosearch.study import Study

__all__ = ["gap_table"]

_SCREEN_SAMPLES = 400
_SCREEN_SEED = 1_000_003
_FINALISTS = 3


def gap_table(
    directory: Path, *, samples: int, seeds: Sequence[int], counts: Sequence[int], workers: int
) -> list[dict[str, Any]]:
    """One row for each count and seed; see :func:`_row` for its keys."""
    study = Study.read(directory)
    table = front_table(study)
    reference = table["reference"]["values"]
    chosen = {k: _best_point(table, k) for k in counts}
    spec = model_spec(study.experiment.model)
    screen = RecipeEvaluator(
        spec, samples=_SCREEN_SAMPLES, seed=_SCREEN_SEED, objectives=["fid"], workers=workers
    )
    rivals = {k: _finalists(screen, k) for k in counts}
    rows = []
    for seed in seeds:
        final = RecipeEvaluator(
            spec, samples=samples, seed=seed, objectives=["fid", "fd_pixels"], workers=workers
        )
        recipes = {f"searched@{k}": chosen[k] for k in counts}
        for k in counts:
            recipes |= {f"ddim@{k}": baseline(f"ddim@{k}", final.model.denoiser)} | rivals[k]
        measured = {e.name: e for e in final.evaluate(recipes)}
        rows += [_row(measured, k, list(rivals[k]), reference, seed) for k in counts]
    return rows


def _best_point(table: Mapping[str, Any], count: int) -> Recipe:
    """The recipe of a count with the lowest validated FID, whoever proposed it."""
    points = [p for p in table["points"] if p["values"]["nfe"]["search"] == count]
    best = min(points, key=lambda p: p["values"]["fid"]["validated"])
    return Recipe.from_dict(best["recipe"], where=f"point {best['id']}")


def _finalists(screen: RecipeEvaluator, count: int) -> dict[str, Recipe]:
    """The best few of all deterministic named baselines at a count."""
    schedule = screen.model.denoiser.schedule
    solvers = [name for name, solver in SOLVERS.items() if solver.eta == 0]
    recipes = {}
    for name in baseline_names(schedule, solvers=solvers):
        try:
            recipes[f"{name}@{count}"] = baseline(f"{name}@{count}", screen.model.denoiser)
        except UserError:
            continue  # this grid repeats times at this count
    ranked = sorted(screen.evaluate(recipes), key=lambda e: e.values["fid"].value)
    return {e.name: e.recipe for e in ranked[:_FINALISTS]}


def _row(
    measured: Mapping[str, Evaluation],
    count: int,
    rivals: Sequence[str],
    reference: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Values, shares of the gaps to the reference that are closed, and the paired interval."""
    ours, ddim = measured[f"searched@{count}"], measured[f"ddim@{count}"]
    best = min((measured[name] for name in rivals), key=lambda e: e.values["fid"].value)
    row: dict[str, Any] = {"count": count, "seed": seed, "best_baseline": best.name}
    for name in ("fid", "fd_pixels"):
        mine, plain, rival = (e.values[name] for e in (ours, ddim, best))
        floor = reference[name]["value"]
        difference, interval = compare(mine, rival)
        row[name] = {
            "searched": mine.value,
            "ci": list(mine.interval()),
            "ddim": plain.value,
            "baseline": rival.value,
            "reference": floor,
            "closed_of_ddim": (plain.value - mine.value) / (plain.value - floor),
            "closed_of_baseline": (rival.value - mine.value) / (rival.value - floor),
            "difference": difference,
            "difference_ci": list(interval),
        }
    return row


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| steps | seed | ddim | best named baseline | searched (95%) | of ddim's gap closed "
        "| of the baseline's | difference (95%, paired) | of the baseline's, pixels |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        fid, pixels = row["fid"], row["fd_pixels"]
        half = (fid["ci"][1] - fid["ci"][0]) / 2
        low, high = fid["difference_ci"]
        lines.append(
            f"| {row['count']} | {row['seed']} | {fid['ddim']:.4f} "
            f"| {row['best_baseline'].partition('@')[0]} {fid['baseline']:.4f} "
            f"| {fid['searched']:.4f} ± {half:.4f} | {fid['closed_of_ddim']:.1%} "
            f"| {fid['closed_of_baseline']:.0%} | {fid['difference']:+.4f} "
            f"({low:+.4f} to {high:+.4f}) | {pixels['closed_of_baseline']:.0%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compare a digits study with named baselines.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--counts", type=int, nargs="+", default=list(range(2, 11)))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    rows = gap_table(
        options.directory,
        samples=options.samples,
        seeds=options.seeds,
        counts=options.counts,
        workers=options.workers,
    )
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(_markdown(rows) + "\n")


if __name__ == "__main__":
    main()
