"""Multi-objective algorithms on the exact mixture: validated hypervolume at equal candidates.

``python -m autosearch.experiments.benchmarks.contest --seeds 5 --algorithms random nsga2 tpe``

Each row is the shipped experiment ``mixture`` with another algorithm: 150 candidates, its baselines
included, and the front measured again on fresh samples; the hypervolume is the one that
``autosearch front`` prints as validated.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autosearch.engine.run import run_study
from autosearch.experiment import load_experiment
from autosearch.study.front import Front
from autosearch.study.progress import Progress

__all__ = ["contest", "contest_volume"]

ALGORITHMS = ("random", "nsga2", "smsemoa", "nsga3", "tpe", "gp", "ecad", "usf")


def contest(
    algorithms: Sequence[str], seeds: Sequence[int], *, candidates: int = 150
) -> list[dict[str, Any]]:
    """A row for each algorithm: its volumes by seed, their median and mean, and seconds."""
    rows = []
    for name in algorithms:
        started = time.monotonic()
        volumes = [contest_volume(name, seed, candidates=candidates) for seed in seeds]
        rows.append(
            {
                "algorithm": name,
                "volumes": volumes,
                "median": float(np.median(volumes)),
                "mean": float(np.mean(volumes)),
                "seconds": (time.monotonic() - started) / len(volumes),
            }
        )
        sys.stderr.write(f"{name}: median {rows[-1]['median']:.4f}\n")
    return rows


def contest_volume(algorithm: str, seed: int, *, candidates: int = 150) -> float:
    """Validated hypervolume of one search."""
    experiment = load_experiment(
        "mixture",
        overrides=[
            f"algorithm.name={algorithm}",
            f"budget.candidates={candidates}",
            f"seed={seed}",
            "workers.executor=inprocess",
        ],
    )
    with tempfile.TemporaryDirectory() as folder:
        study = run_study(experiment, Path(folder) / "study", resume=False, progress=Progress())
        return Front.of(study).hypervolume["validated"] or 0.0


def _markdown(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| algorithm | median | mean | by seed | seconds |", "|---|---|---|---|---|"]
    for row in rows:
        volumes = ", ".join(f"{volume:.3f}" for volume in row["volumes"])
        lines.append(
            f"| {row['algorithm']} | {row['median']:.4f} | {row['mean']:.4f} | {volumes} "
            f"| {row['seconds']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compare algorithms on the exact mixture.")
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS))
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--candidates", type=int, default=150)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    rows = contest(options.algorithms, range(options.seeds), candidates=options.candidates)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(_markdown(rows) + "\n")


if __name__ == "__main__":
    main()
