"""What another model's front is worth: cost to 95% of the hypervolume, with ``init`` and without.

``python -m autosearch.experiments.benchmarks.transfer --out runs/transfer``

A search of times and solver on the bundled digits model; a digits model of half the size, trained
here; and searches on that one, some of which begin with the other's front. Everything that they
measure is counted, the recipes that they begin with among it; the first search is not, being there
already. Fronts are measured again on fresh noise (:mod:`..yardstick`).
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autosearch.errors import UserError
from autosearch.experiment import load_experiment
from autosearch.experiments.benchmarks.contestants import Contestant, Course
from autosearch.experiments.benchmarks.yardstick import compare, save_runs
from autosearch.experiments.benchmarks.yardstick_fronts import Run
from autosearch.experiments.benchmarks.yardstick_studies import searched
from autosearch.experiments.training.configs import SUBJECTS
from autosearch.experiments.training.train_network import train_network
from autosearch.models.dit import DiTConfig

__all__ = ["small_model", "table", "transfer"]

_DIGITS = load_experiment("digits")
# Half as deep and two thirds as wide as the bundled one: a fifth of its work.
_SMALL = DiTConfig(width=64, depth=4, heads=4)
_STEPS = 3000
_SHARE = 0.95
_POINTS = 32
_SEARCH = Contestant("search", "NSGA-II as the demo has it", {**_DIGITS.algorithm}, fits=True)
_COURSE = Course(
    name="transfer",
    keys={
        "space": dict(_DIGITS.space),
        "objectives": list(_DIGITS.objectives),
        "budget": {"forward_equivalents": 250_000},
        # Of the reference, which nobody ships for the smaller model.
        "validation": {"samples": 400},
        "workers": {"executor": "inprocess"},
        "lag": 1,
    },
    named=(),
    fits=("ddim", "dpmpp_2m"),
    rungs=(400,),
    paired=(400,),
    validation=1000,
    contestants=("search",),
)


def small_model(folder: Path, *, steps: int = _STEPS) -> Path:
    """The smaller model's weights, trained unless they are there."""
    found = sorted(folder.glob("digits_*.safetensors"))
    if found:
        return found[-1]
    subject = SUBJECTS["digits"]
    training = replace(subject.training, steps=2 * steps, stop=steps)
    return train_network(
        subject.real(), _SMALL, name="digits", out=folder, config=training, snapshots=()
    )


def transfer(
    out: Path,
    seeds: Sequence[int],
    *,
    known: Mapping[str, Any],
    other: Mapping[str, Any],
    share: float = 1.0,
    course: Course = _COURSE,
) -> list[Run]:
    """Runs named ``without`` and ``with``; finished studies are read.

    Args:
        out: where the studies are.
        seeds: of the searches, one run of each.
        known: keys of the model that is searched first.
        other: keys of the model that is searched with the first one's front and without it.
        share: of the budget, for a try.
        course: the space that is searched.
    """
    first = out / "first"
    searched(_SEARCH, _of(course, known).experiment(_SEARCH, 0, share=share), first)
    plain = _of(course, other)
    given = replace(plain, keys={**plain.keys, "init": [str(first.resolve())]})
    runs: list[Run] = []
    for way, name in ((plain, "without"), (given, "with")):
        one = replace(_SEARCH, name=name)
        runs += compare(way, [one], seeds, out / "other", share=share, points=_POINTS)
    return runs


def table(runs: Sequence[Run]) -> list[Mapping[str, Any]]:
    """One row for each seed: both costs to 95% of what the search without ends with."""
    by = {(run.contestant, run.seed): run for run in runs}
    rows: list[Mapping[str, Any]] = []
    for seed in dict.fromkeys(run.seed for run in runs):
        plain, given = by["without", seed], by["with", seed]
        wanted = _SHARE * plain.final
        rows.append(
            {
                "seed": seed,
                "without": plain.reaches(wanted),
                "with": given.reaches(wanted),
                "volume without": plain.final,
                "volume with": given.final,
            }
        )
    return rows


def _of(course: Course, model: Mapping[str, Any]) -> Course:
    return replace(course, keys={**course.keys, "model": dict(model)})


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/transfer"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--share", type=float, default=1.0, help="of the budget, for a try")
    options = parser.parse_args()
    try:
        small = {"name": "digits", "path": str(small_model(options.out / "model").resolve())}
        runs = transfer(
            options.out, options.seeds, known={"name": "digits"}, other=small, share=options.share
        )
    except UserError as error:
        parser.error(str(error))
    save_runs(runs, options.out)
    for row in table(runs):
        sys.stdout.write(
            f"seed {row['seed']}: 95% of {row['volume without']:.4f} for "
            f"{_said(row['without'])} without, {_said(row['with'])} with; "
            f"ends at {row['volume with']:.4f} with\n"
        )


def _said(cost: float | None) -> str:
    return "never" if cost is None else f"{cost:,.0f}"


if __name__ == "__main__":
    main()
