"""What a search adds to the fits that it starts from, at each number of evaluations.

``python -m autosearch.experiments.benchmarks.on_fits OUT --models mixture digits --seeds 0 1 2``

Each search has the space and the budget of the model's own experiment, of which fits and fine
trajectory are paid. It starts from the fits of a few solvers at 3 to 6 evaluations. At each of
these counts the recipe that validates best, a fit or not, and the fit that validates best are
measured once more, on noise that neither search nor validation saw: the difference is a paired
one. Studies stay in OUT, and what is there is not made again.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autosearch.engine.evaluate import RecipeEvaluator, paired
from autosearch.engine.problem import model_spec
from autosearch.engine.run import run_study
from autosearch.experiment import Experiment, experiment_from_dict, load_experiment
from autosearch.study.journal import FILE
from autosearch.study.progress import Progress
from autosearch.study.selection import selection
from autosearch.study.study import Candidate, Study

__all__ = ["WAYS", "added", "search_on_fits"]

COUNTS = (3, 4, 5, 6)
# Solvers whose times are fitted, and how.
SOLVERS = ("dpmpp_2m-logsnr",)
FIT = "moments"
# Whose space and budget a model's search has, and its samples where these are not FID's.
_EXPERIMENTS = {"mixture": "mixture", "digits": "digits", "photos": "digits"}
_BUDGET = 900_000.0
# Algorithm, objective and samples, which are rungs where there are several.
WAYS: Mapping[str, Mapping[str, Any]] = {
    "fid": {"algorithm": "nsga2", "objective": "fid", "samples": [400]},
    "local": {
        "algorithm": "nsga2",
        "objective": "teacher_fid",
        "samples": [400],
        "local": 0.7,
    },
    "refine": {"algorithm": "refine", "objective": "teacher_fid", "samples": [400]},
    "refine-fid": {"algorithm": "refine", "objective": "fid", "samples": [400]},
}


def experiment(model: str, way: str, seed: int, *, share: float = 1.0) -> Experiment:
    """One search: the space of the model's experiment, and a share of its budget."""
    chosen = dict(WAYS[way])
    samples, objective = chosen.pop("samples"), chosen.pop("objective")
    settings = {"name": chosen.pop("algorithm"), **chosen}
    if settings["name"] == "nsga2":
        settings["initial"] = 0
    data = {
        "model": model,
        "space": load_experiment(_EXPERIMENTS[model]).space,
        "objectives": [objective, "nfe"],
        "report": ["fid"] if objective != "fid" else [],
        "baselines": [f"{solver}+{FIT}@{count}" for solver in SOLVERS for count in COUNTS],
        "algorithm": settings,
        "samples": samples[-1],
        "rungs": samples if len(samples) > 1 else [],
        "budget": {"forward_equivalents": _BUDGET * share},
        "validation": {"samples": 1000},
        "workers": {"executor": "inprocess"},
        "lag": 4,
        "seed": seed,
    }
    return experiment_from_dict(data, where=f"on_fits {model}, {way}")


def search_on_fits(model: str, way: str, seed: int, folder: Path, *, share: float = 1.0) -> Study:
    """A search, run unless it is in the folder already."""
    out = folder / f"{model}-{way}-{seed}"
    resume = (out / FILE).exists()
    return run_study(
        experiment(model, way, seed, share=share), out, resume=resume, progress=Progress()
    )


def added(study: Study, *, samples: int, seed: int) -> list[dict[str, Any]]:
    """A row for each count: the best recipe and the best fit, and their paired difference in FID.

    Args:
        study: validated.
        samples: to measure them on.
        seed: of the noise, of a stream of its own.
    """
    chosen = [c for c in selection(study) if study.validated(c)]
    spec = model_spec(study.experiment.model)
    evaluator = RecipeEvaluator(spec, samples=samples, seed=seed, objectives=["fid"])
    rows = []
    for count in COUNTS:
        here = [c for c in chosen if c.values["nfe"].value == count]
        fits = [c for c in here if c.kind == "baseline"]
        if not fits:
            continue
        best, fit = (min(group, key=lambda c: _quality(study, c)) for group in (here, fits))
        recipes = {"best": study.recipe(best), "fit": study.recipe(fit)}
        found = {one.name: one for one in evaluator.evaluate(recipes)}
        against = paired(found["best"], found["fit"])["fid"]
        rows.append(
            {
                "count": count,
                "fit": fit.name,
                "fit_fid": found["fit"].values["fid"].value,
                "best": best.name or f"#{best.id}",
                "best_fid": found["best"].values["fid"].value,
                "difference": against["difference"],
                "ci": against["ci"],
            }
        )
    return rows


def _quality(study: Study, candidate: Candidate) -> float:
    """What the search made small, on fresh noise."""
    return (study.validated(candidate) or {})[study.experiment.objectives[0]].value


def _costs(study: Study) -> dict[str, Any]:
    fits = sum(cost for name, cost in study.overheads.items() if FIT in name)
    return {
        "candidates": len(study.candidates),
        "ended": study.stops[-1],
        "fits": fits,
        "setup": sum(study.overheads.values()),
        "planned": study.planned,
        "executed": study.spent,
    }


def _lines(model: str, way: str, seed: int, result: Mapping[str, Any]) -> list[str]:
    lines = []
    for row in result["rows"]:
        low, high = (100 * end / row["fit_fid"] for end in row["ci"])
        change = 100 * row["difference"] / row["fit_fid"]
        lines.append(
            f"| {model} | {way} | {seed} | {row['count']} | `{row['fit']}` {row['fit_fid']:.4f} "
            f"| {row['best']} {row['best_fid']:.4f} "
            f"| {change:+.0f}% ({low:+.0f}% to {high:+.0f}%) |"
        )
    costs = result["costs"]
    lines.append(
        f"| {model} | {way} | {seed} | | fits {costs['fits']:,.0f} of {costs['planned']:,.0f} "
        f"| {costs['candidates']} candidates | ended: {costs['ended']} |"
    )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder of the studies and results")
    parser.add_argument("--models", nargs="+", default=list(_EXPERIMENTS), choices=_EXPERIMENTS)
    parser.add_argument("--ways", nargs="+", default=["refine"], choices=WAYS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--share", type=float, default=1.0, help="of the budget")
    parser.add_argument("--samples", type=int, default=8000, help="that the last look takes")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(
        "| model | search | seed | evaluations | best fit | best recipe | difference (95%) |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    for model in given.models:
        for way in given.ways:
            for seed in given.seeds:
                file = given.out / f"{model}-{way}-{seed}.json"
                if not file.exists():
                    study = search_on_fits(model, way, seed, given.out, share=given.share)
                    rows = added(study, samples=given.samples, seed=1_000_000 + seed)
                    made = {"rows": rows, "costs": _costs(study)}
                    file.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
                result = json.loads(file.read_text(encoding="utf-8"))
                sys.stdout.write("\n".join(_lines(model, way, seed, result)) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
