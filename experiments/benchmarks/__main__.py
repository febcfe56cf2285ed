"""``python -m autosearch.experiments.benchmarks [NAME ...]``: run benchmarks, print JSON.

Comparisons of searches, which take hours and leave studies, are programs of their own:
``...benchmarks.yardstick``, ``transfer``, ``contest``, ``joint`` and others.
"""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from autosearch.experiments.benchmarks.busy import busy
from autosearch.experiments.benchmarks.caches import caches
from autosearch.experiments.benchmarks.coverage import coverage
from autosearch.experiments.benchmarks.engine import engine, engine_long
from autosearch.experiments.benchmarks.flows import flows
from autosearch.experiments.benchmarks.intervals import intervals
from autosearch.experiments.benchmarks.lag import lag, lag_long
from autosearch.experiments.benchmarks.orders import orders
from autosearch.experiments.benchmarks.pipelines import pipelines
from autosearch.experiments.benchmarks.reuse import reuse
from autosearch.experiments.benchmarks.sampler import sampler
from autosearch.experiments.benchmarks.teachers import teachers
from autosearch.experiments.benchmarks.zdt import zdt, zdt_generations

Benchmark = Callable[[], dict[str, Any]]
QUICK: dict[str, Benchmark] = {"sampler": sampler, "engine": engine, "busy": busy, "lag": lag}
LONG: dict[str, Benchmark] = {
    "caches": caches,
    "coverage": coverage,
    "diffusers": pipelines,
    "engine_long": engine_long,
    "flows": flows,
    "intervals": intervals,
    "lag_long": lag_long,
    "orders": orders,
    "reuse": reuse,
    "teachers": teachers,
    "zdt": zdt,
    "zdt_generations": zdt_generations,
}


def main() -> None:
    """Run the named benchmarks; by default those that take minutes."""
    known = QUICK | LONG
    parser = argparse.ArgumentParser(description="Measure the budgets.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    names = parser.parse_args().names or list(QUICK)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}; valid: {', '.join(known)}")
    results = {}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results[name] = known[name]()
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
