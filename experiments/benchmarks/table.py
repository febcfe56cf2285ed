"""The README's table: each count's best recipe beside ``ddim`` and the best named baseline.

``python -m autosearch.experiments.benchmarks.table runs/digits --samples 8000 --seeds 1 2 3``

Every deterministic solver on every grid is a rival at its number of network evaluations. All are
screened on as many samples as the search's candidates had, of another seed; the best few of each
count are then measured beside the searched recipe, all on the same fresh noise, and the best of
them there is the baseline.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autosearch.baselines import SOLVERS, baseline, baseline_names
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.evaluate import RecipeEvaluation, RecipeEvaluator
from autosearch.engine.problem import model_spec
from autosearch.errors import UserError
from autosearch.objectives import compare
from autosearch.recipe import Recipe
from autosearch.study.front import Front
from autosearch.study.study import Study

__all__ = ["gap_table"]

_SCREEN_SEED = 1_000_003
_FINALISTS = 3


def gap_table(
    directory: Path,
    *,
    samples: int,
    seeds: Sequence[int],
    counts: Sequence[int],
    workers: int,
    screening: Path | None = None,
) -> list[dict[str, Any]]:
    """One row for each count and seed; see :func:`_row` for its keys.

    ``screening`` is a file that keeps which baselines were the best few, for the next table of the
    same model.
    """
    study = Study.read(directory)
    table = Front.of(study).to_dict()
    reference = table["reference"]["values"]
    chosen = {k: _best_point(table, k) for k in counts}
    spec = model_spec(study.experiment.model)
    screen = RecipeEvaluator(
        spec,
        samples=study.experiment.samples,
        seed=_SCREEN_SEED,
        objectives=["fid"],
        workers=workers,
    )
    objectives = ["fid"] + ["fd_pixels"] * ("pixels" in screen.model.widths)
    if screening is not None and screening.is_file():
        rivals = _kept(json.loads(screening.read_text(encoding="utf-8")), screen.model.denoiser)
    else:
        rivals = screened(screen, counts)
    if screening is not None:
        names = {count: list(found) for count, found in rivals.items()}
        screening.write_text(json.dumps(names, indent=1) + "\n", encoding="utf-8")
    rows = []
    for seed in seeds:
        final = RecipeEvaluator(
            spec, samples=samples, seed=seed, objectives=objectives, workers=workers
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


def screened(screen: RecipeEvaluator, counts: Sequence[int]) -> dict[int, dict[str, Recipe]]:
    """The best few fixed recipes of each evaluation count."""
    fixed = _fixed(screen.model.denoiser, counts)
    sys.stderr.write(f"screening {len(fixed)} fixed recipes\n")
    ranked = sorted(
        screen.evaluate({name: recipe for name, (recipe, _) in fixed.items()}),
        key=lambda e: e.values["fid"].value,
    )
    best: dict[int, dict[str, Recipe]] = {count: {} for count in counts}
    for found in ranked:
        mine = best[fixed[found.name][1].nfe]
        if len(mine) < _FINALISTS:
            mine[found.name] = found.recipe
    return best


def _kept(names: Mapping[str, Sequence[str]], denoiser: Denoiser) -> dict[int, dict[str, Recipe]]:
    return {
        int(count): {name: baseline(name, denoiser) for name in found}
        for count, found in names.items()
    }


def _fixed(denoiser: Denoiser, counts: Sequence[int]) -> dict[str, tuple[Recipe, Plan]]:
    """Every deterministic solver on every grid with one of the counts; equal plans once."""
    solvers = [name for name, solver in SOLVERS.items() if not solver.stochastic]
    found: dict[str, tuple[Recipe, Plan]] = {}
    known = set()
    for name in baseline_names(denoiser.schedule, solvers=solvers, usual=False):
        for steps in range(1, max(counts) + 2):
            try:
                recipe = baseline(f"{name}@{steps}", denoiser)
                plan = compile_recipe(recipe, denoiser)
            except UserError:
                continue  # this grid has no such step count, or the model no such recipe
            if plan.nfe in counts and plan.identity not in known:
                known.add(plan.identity)
                found[f"{name}@{steps}"] = (recipe, plan)
    return found


def _row(
    measured: Mapping[str, RecipeEvaluation],
    count: int,
    rivals: Sequence[str],
    reference: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Values, shares of the gaps to the reference that are closed, and the paired interval."""
    ours, ddim = measured[f"searched@{count}"], measured[f"ddim@{count}"]
    best = min((measured[name] for name in rivals), key=lambda e: e.values["fid"].value)
    row: dict[str, Any] = {"count": count, "seed": seed, "best_baseline": best.name}
    for name in ours.values:
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
    pixels = "fd_pixels" in rows[0]
    head = [
        "steps",
        "seed",
        "ddim",
        "best named baseline",
        "searched (95%)",
        "of ddim's gap closed",
        "of the baseline's",
        "difference (95%, paired)",
        *(["of the baseline's, pixels"] * pixels),
    ]
    return "\n".join(map(_line, [head, ["---"] * len(head), *map(_cells, rows)]))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Mapping[str, Any]) -> list[str]:
    fid = row["fid"]
    half = (fid["ci"][1] - fid["ci"][0]) / 2
    low, high = fid["difference_ci"]
    cells = [
        str(row["count"]),
        str(row["seed"]),
        f"{fid['ddim']:.4f}",
        f"{row['best_baseline']} {fid['baseline']:.4f}",
        f"{fid['searched']:.4f} ± {half:.4f}",
        f"{fid['closed_of_ddim']:.1%}",
        f"{fid['closed_of_baseline']:.0%}",
        f"{fid['difference']:+.4f} ({low:+.4f} to {high:+.4f})",
    ]
    if "fd_pixels" in row:
        cells.append(f"{row['fd_pixels']['closed_of_baseline']:.0%}")
    return cells


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compare a study with named baselines.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--counts", type=int, nargs="+", default=list(range(2, 11)))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--screening", type=Path, help="keep the best baselines in this file")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    rows = gap_table(
        options.directory,
        samples=options.samples,
        seeds=options.seeds,
        counts=options.counts,
        workers=options.workers,
        screening=options.screening,
    )
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(_markdown(rows) + "\n")


if __name__ == "__main__":
    main()
