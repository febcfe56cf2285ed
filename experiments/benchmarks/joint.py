"""The joint search beside each of its families alone, at equal cost in forward equivalents.

``python -m autosearch.experiments.benchmarks.joint --seeds 0 1 2 --out runs/joint``

All have the baselines of the experiment ``joint``, also where their own space cannot express them,
and are validated on the same fresh samples. A family alone is given the rest as the best fixed
choice there is: quadratic times, second-order DPM-Solver++. Volumes are on the axes of the first
study, so that they can be compared.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autosearch.engine.run import run_study
from autosearch.experiment import load_experiment
from autosearch.study.front import Front
from autosearch.study.progress import Progress
from autosearch.study.study import Study

__all__ = ["SPACES", "joint"]

_JOINT = load_experiment("joint").space
_FIXED = {**_JOINT["solver"], "orders": [2], "forms": ["dpmsolver"]}
_COUNTS = range(2, 11)
_TIMES = [f"dpmpp_2m-quadratic@{count}" for count in _COUNTS]

SPACES: Mapping[str, Mapping[str, Any]] = {
    "joint": _JOINT,
    "timesteps": {"timesteps": _JOINT["timesteps"], "solver": _FIXED},
    "solver": {"named": {"recipes": _TIMES, "solver": False}, "solver": _JOINT["solver"]},
    "cache": {"named": {"recipes": _TIMES}, "cache": _JOINT["cache"]},
    "prune": {"named": {"recipes": _TIMES}, "prune": _JOINT["prune"]},
}


def joint(out: Path, seeds: Sequence[int], spaces: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each space and seed: validated volume, candidates and forward equivalents."""
    rows = []
    for seed in seeds:
        for name in spaces:
            study = _study(out / f"{name}-{seed}", name, seed)
            table = Front.of(study).to_dict()
            row = {
                "space": name,
                "seed": seed,
                "validated": table["hypervolume"]["validated"],
                "search": table["hypervolume"]["search"],
                "candidates": table["cost"]["candidates"],
                "forward_equivalents": study.planned,
            }
            rows.append(row)
            sys.stderr.write(json.dumps(row) + "\n")
    return rows


def _study(directory: Path, name: str, seed: int) -> Study:
    """Run it, or read it where it is there already."""
    if directory.exists():
        return Study.read(directory)
    overrides = [f"space={json.dumps(SPACES[name])}", f"seed={seed}"]
    experiment = load_experiment("joint", overrides)
    return run_study(experiment, directory, resume=False, progress=Progress())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--spaces", nargs="+", choices=sorted(SPACES), default=list(SPACES))
    parser.add_argument("--out", type=Path, default=Path("runs/joint"))
    options = parser.parse_args()
    rows = joint(options.out, options.seeds, options.spaces)
    sys.stdout.write(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
