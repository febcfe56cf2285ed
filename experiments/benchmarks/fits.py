"""Fits of times side by side: FID of solvers with and without each, and what the fits take.

``python -m autosearch.experiments.benchmarks.fits digits --json fits-digits.json``

All recipes are measured on the same fresh noise; a fit is compared with its solver as it stands
without it by the paired interval of their difference. What a fit takes, forwards of one sample and
seconds in this process, is that of the first solver: those after it at the same number of steps
share its fine trajectory.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.names import Resolved, resolve
from autosearch.diffusion.sampling.call_cache import make_call_cache
from autosearch.engine.evaluate import RecipeEvaluation, RecipeEvaluator
from autosearch.models.spec import ModelSpec
from autosearch.objectives import compare

__all__ = ["FITS", "SOLVERS", "fit_rows", "markdown"]

SOLVERS = ("ddim", "dpmpp_2m", "unipc")
FITS = ("dmn", "gits", "oss", "boss", "moments")


def fit_rows(
    model: str,
    *,
    solvers: Sequence[str] = SOLVERS,
    fits: Sequence[str] = FITS,
    counts: Sequence[int] = (3, 4, 5, 6),
    samples: int = 2000,
    seed: int = 1,
) -> list[dict[str, Any]]:
    """One row for each solver, with each fit and without, and each number of steps.

    Args:
        model: the name of a bundled one.
        solvers: ``SOLVER[-GRID]``.
        fits: with their settings, as names give them.
        counts: numbers of steps.
        samples: of each measurement.
        seed: of the fresh noise; fits take another stream.

    Returns:
        Rows with keys ``solver``, ``fit`` (empty without one), ``steps``, ``nfe``, ``fid``, ``ci``;
        of fits also ``difference`` from the solver without them, ``difference_ci``, and
        ``forwards`` and ``seconds`` of the first solver.
    """
    evaluator = RecipeEvaluator(
        ModelSpec(model), samples=samples, seed=seed, objectives=["fid", "nfe"]
    )
    recipes: dict[str, Resolved] = {}
    costs: dict[tuple[str, int], dict[str, float]] = {}
    for count in counts:
        for fit in ("", *fits):
            cache = make_call_cache("auto")
            for solver in solvers:
                calibrator = Calibrator(
                    evaluator.model.denoiser, evaluator.artifact_store, call_cache=cache
                )
                began = time.perf_counter()
                name = _name(solver, fit, count)
                recipes[name] = resolve(name, calibrator)
                seconds = time.perf_counter() - began
                cost = {"forwards": calibrator.nominal, "seconds": seconds}
                costs.setdefault((fit, count), cost)
                sys.stderr.write(f"{name}: {seconds:.1f} s\n")
    measured = {found.name: found for found in evaluator.evaluate(recipes)}
    return [
        _row(measured, solver, fit, count, costs[fit, count])
        for solver in solvers
        for fit in ("", *fits)
        for count in counts
    ]


def _name(solver: str, fit: str, count: int) -> str:
    return f"{solver}{'+' * bool(fit)}{fit}@{count}"


def _row(
    measured: Mapping[str, RecipeEvaluation],
    solver: str,
    fit: str,
    count: int,
    cost: Mapping[str, float],
) -> dict[str, Any]:
    found = measured[_name(solver, fit, count)].values
    row: dict[str, Any] = {
        "solver": solver,
        "fit": fit,
        "steps": count,
        "nfe": found["nfe"].value,
        "fid": found["fid"].value,
        "ci": list(found["fid"].interval()),
    }
    if not fit:
        return row
    plain = measured[_name(solver, "", count)].values["fid"]
    difference, interval = compare(found["fid"], plain)
    return {**row, "difference": difference, "difference_ci": list(interval), **cost}


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Two tables: FID by recipe and number of steps, and what each fit takes.

    Where the paired interval of a fit's difference from its solver alone lies above zero, its value
    is marked ``(worse)``, and where it holds zero, ``(even)``.
    """
    counts = list(dict.fromkeys(row["steps"] for row in rows))
    names = dict.fromkeys(_name(row["solver"], row["fit"], 0)[:-2] for row in rows)
    cells = {(_name(row["solver"], row["fit"], 0)[:-2], row["steps"]): row for row in rows}
    lines = [["recipe", *map(str, counts)], ["---"] * (1 + len(counts))]
    lines += [[f"`{name}`", *(_value(cells[name, count]) for count in counts)] for name in names]
    fits = dict.fromkeys(row["fit"] for row in rows if row["fit"])
    taken = {(row["fit"], row["steps"]): row for row in rows}
    costs = [["fit", *(f"{count}: forwards, seconds" for count in counts)]]
    costs.append(["---"] * (1 + len(counts)))
    costs += [[f"`+{fit}`", *(_cost(taken[fit, count]) for count in counts)] for fit in fits]
    return "\n\n".join(
        "\n".join(f"| {' | '.join(line)} |" for line in table) for table in (lines, costs)
    )


def _value(row: Mapping[str, Any]) -> str:
    text = f"{row['fid']:.4f}"
    if not row["fit"]:
        return text
    low, high = row["difference_ci"]
    return text + (" (worse)" if low > 0 else " (even)" if high >= 0 else "")


def _cost(row: Mapping[str, Any]) -> str:
    return f"{row['forwards']:,.0f}, {row['seconds']:.1f}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compare fits of times.")
    parser.add_argument("model")
    parser.add_argument("--solvers", nargs="+", default=list(SOLVERS), metavar="SOLVER[-GRID]")
    parser.add_argument("--fits", nargs="+", default=list(FITS), metavar="FIT[:SETTING...]")
    parser.add_argument("--steps", type=int, nargs="+", default=[3, 4, 5, 6])
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    rows = fit_rows(
        options.model,
        solvers=options.solvers,
        fits=options.fits,
        counts=options.steps,
        samples=options.samples,
        seed=options.seed,
    )
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(markdown(rows) + "\n")


if __name__ == "__main__":
    main()
