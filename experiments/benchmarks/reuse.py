"""What trajectory reuse saves: two searches with and without it, and any study's own share.

``python -m autosearch.experiments.benchmarks reuse``
``python -m autosearch.experiments.benchmarks.reuse DIR [DIR ...]``
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autosearch.diffusion.sampling.call_keys import calls_of
from autosearch.engine.problem import Problem
from autosearch.engine.run import run_study
from autosearch.experiment import load_experiment
from autosearch.study.events import Asked, Evaluated, ScaleFixed, Validated
from autosearch.study.journal import read_journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study

__all__ = ["reuse", "shared_share"]

# By shipped experiment, what makes it a matter of a minute.
_SEARCHES: Mapping[str, Sequence[str]] = {
    "mixture": (),
    "digits": ("budget={candidates: 60}", "samples=200", "validation.samples=400"),
}
# What differs from one run of the same search to the next.
_VARYING = ("forward_equivalents", "seconds", "proposing", "worker", "crc", "nominal")


def reuse() -> dict[str, Any]:
    """Of each search: wall time and forward equivalents executed, without and with reuse."""
    return {name: _compared(name, overrides) for name, overrides in _SEARCHES.items()}


def shared_share(directory: Path) -> dict[str, Any]:
    """The share of a study's candidates' calls, by their cost, that others had made before.

    What a store without bounds, of one worker, saves of the search.
    """
    study = Study.read(directory)
    problem = Problem.of(study.experiment)
    seen: set[bytes] = set()
    total = known = 0
    for _, candidate in sorted(study.candidates.items()):
        calls = calls_of(problem.compile(study.recipe(candidate)), problem.denoiser)
        total += sum(call.macs for call in calls)
        known += sum(call.macs for call in calls if call.key in seen)
        seen.update(call.key for call in calls)
    return {
        "study": study.header.name,
        "algorithm": study.experiment.algorithm["name"],
        "candidates": len(study.candidates),
        "share": known / total if total else 0.0,
    }


def _compared(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for keep in ("off", "auto"):
            found[keep] = _searched(name, overrides, keep, Path(folder) / keep)
        share = shared_share(Path(folder) / "off")["share"]
        same = _results(Path(folder) / "off") == _results(Path(folder) / "auto")
    off, auto = found["off"], found["auto"]
    return {
        **found,
        "executed": auto["forward_equivalents"] / off["forward_equivalents"],
        "wall": auto["seconds"] / off["seconds"],
        "share_without_bounds": share,
        "equal_results": same,
    }


def _searched(name: str, overrides: Sequence[str], keep: str, out: Path) -> dict[str, Any]:
    own = [*overrides, "workers.executor=inprocess", f"workers.call_cache={keep}"]
    experiment = load_experiment(name, overrides=own)
    started = time.monotonic()
    study = run_study(experiment, out, resume=False, progress=Progress())
    return {
        "seconds": time.monotonic() - started,
        "candidates": len(study.candidates),
        "forward_equivalents": study.executed,
        "with_validation": study.spent,
        "nominal": study.nominal,
    }


def _results(directory: Path) -> list[dict[str, Any]]:
    """Everything that a search asked, was told and measured again."""
    kinds = (Asked, Evaluated, Validated, ScaleFixed)
    return [
        {key: value for key, value in event.to_record().items() if key not in _VARYING}
        for event in read_journal(directory)
        if isinstance(event, kinds)
    ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="How much of studies' calls others had made.")
    parser.add_argument("directories", nargs="+", type=Path, metavar="DIR")
    rows = [shared_share(directory) for directory in parser.parse_args().directories]
    sys.stdout.write(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
