"""What a dry run promises beside what the clock says, for shipped experiments with cut budgets.

``python -m autosearch.experiments.benchmarks.dry_runs [--seconds 180] [--busy 2] [NAME ...]``
asks a dry run by command, cuts the budget to about so many seconds, asks again and runs, and prints
JSON: promised and measured seconds and their ratio. ``--busy`` lets so many other processes compute
all the while. Aim: within 30%. Five experiments of three minutes take about twenty minutes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from autosearch.experiment import load_experiment

__all__ = ["busy_processes", "measured"]

NAMES = ("digits", "mixture", "autodiffusion", "guidance", "usf_mixture")
_COMMAND = (sys.executable, "-c", "import sys, autosearch.cli; sys.exit(autosearch.cli.main())")
_BUSY = "while True: sum(i * i for i in range(10 ** 6))"


def measured(name: str, seconds: float, settings: Sequence[str] = ()) -> dict[str, float]:
    """Promised and measured seconds of an experiment whose budget is cut to about ``seconds``.

    Args:
        name: of a shipped experiment.
        seconds: that the run may take.
        settings: ``key=value`` changes besides, such as ``workers.count=1``.
    """
    changes = list(settings)
    whole = _promised(name, changes)
    if whole > seconds:
        changes += _cut(name, seconds / whole)
    promised = _promised(name, changes)
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        _call("run", name, "--out", str(Path(folder, "study")), *_options(changes))
        took = time.monotonic() - start
    return {
        "promised": round(promised, 1),
        "measured": round(took, 1),
        "ratio": round(promised / took, 2),
    }


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that compute while the body lasts."""
    with ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", _BUSY]))
            stack.callback(process.kill)
        yield


def _promised(name: str, changes: Sequence[str]) -> float:
    text = _call("run", name, "--dry-run", "--json", *_options(changes))
    return float(json.loads(text)["seconds"])


def _cut(name: str, share: float) -> list[str]:
    """Changes that leave a share of what an experiment spends, search and validation alike."""
    experiment = load_experiment(name)
    budget: dict[str, Any] = experiment.budget.model_dump(exclude_none=True)
    changes = []
    for key, whole in budget.items():
        least = whole * share
        changes.append(f"budget.{key}={max(round(least), 1) if key == 'candidates' else least}")
    return changes


def _options(changes: Sequence[str]) -> list[str]:
    return [part for change in changes for part in ("--set", change)]


def _call(*arguments: str) -> str:
    done = subprocess.run(
        [*_COMMAND, *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return done.stdout.decode()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line names, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=float, default=180.0, help="of each run")
    parser.add_argument("--busy", type=int, default=0, help="processes that compute beside it")
    parser.add_argument("--set", action="append", default=[], help="key=value, as for run")
    given = parser.parse_args(arguments)
    results = {}
    for name in given.names or NAMES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        with busy_processes(given.busy):
            results[name] = measured(name, given.seconds, given.set)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
