"""Journals of small searches by every algorithm, to see that a change changes nothing.

``python -m autosearch.experiments.benchmarks.goldens DIR`` writes a file a study into DIR (about
3 minutes; ``--demo`` adds the demo's own search). Run before a change and after it on one machine,
``diff -r`` says whether equal seeds still give equal journals: proposals, identities, values, and
their order. Times, versions, processors and paths are left out, and where phases begin.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

__all__ = ["STUDIES", "journal"]

_MIXTURE = {
    "model": "mixture",
    "space": {"timesteps": {"steps": [2, 8]}, "solver": {}},
    "objectives": ["fid", "nfe"],
    "baselines": ["ddim", "dpmpp_2m"],
    "samples": 200,
    "validation": {"samples": 200},
    "budget": {"candidates": 60},
}
_DIGITS = {
    **_MIXTURE,
    "model": "digits",
    "space": {"timesteps": {"steps": [2, 4]}, "solver": {}},
    "samples": 400,
    "validation": {"samples": 400},
    "budget": {"candidates": 24},
}
_ONE = {"objectives": ["fid"]}
_TIMES = {**_ONE, "space": {"timesteps": {"steps": [4, 4]}}}
_NUMBERS = {**_ONE, "space": {"few_step": {"steps": [4, 4]}}}
_NAMED = {"space": {"named": {"recipes": ["ddim@2", "ddim@3", "unipc@4"]}}}

# What each algorithm needs of an experiment besides its name.
_ALGORITHMS: Mapping[str, Mapping[str, Any]] = {
    "random": {},
    "nsga2": {},
    "smsemoa": {},
    "screened": {},
    "nsga3": {"objectives": ["fid", "nfe", "teacher_mse"]},
    "tpe": {},
    "gp": {"budget": {"candidates": 24}},
    "cmaes": _NUMBERS,
    "de": _NUMBERS,
    "autodiffusion": _TIMES,
    "usf": {},
    "ecad": {},
    "exhaustive": _NAMED,
}

STUDIES: dict[str, dict[str, Any]] = {
    f"{base['model']}-{name}": {**base, **needs, "algorithm": {"name": name}}
    for base in (_MIXTURE, _DIGITS)
    for name, needs in _ALGORITHMS.items()
} | {
    "mixture-arrival": {**_MIXTURE, "order": "arrival"},
    "mixture-fits": {**_MIXTURE, "baselines": ["ddim", "unipc", "dpmpp_2m+moments:64:2:20"]},
    "mixture-rungs": {**_MIXTURE, "samples": 600, "rungs": [200, 600]},
    "digits-greedy": {
        **_DIGITS,
        **_ONE,
        "space": {"named": {"recipes": ["ddim@4"]}, "heads": {}},
        "baselines": ["ddim@4"],
        "algorithm": {"name": "greedy"},
    },
    "digits-sites": {
        **_DIGITS,
        "space": {"timesteps": {"steps": [3, 5]}, "solver": {}, "cache": {}, "prune": {}},
        "objectives": ["fid", "macs"],
    },
}

# Whatever calls it that: the command is what stays the same.
_COMMAND = (sys.executable, "-c", "import sys, autosearch.cli; sys.exit(autosearch.cli.main())")

# Never the same twice, or of the machine.
_UNSTABLE = {"seconds", "sum", "study", "name", "version", "environment", "proposing", "elapsed"}


def journal(experiment: Path, folder: Path) -> list[str]:
    """Search by command; returns the stable part of each record, as JSON.

    Raises:
        subprocess.CalledProcessError: the search ended with another exit code than 0.
    """
    out = folder / experiment.stem
    settings = ["--set", "workers.executor=inprocess", "--out", str(out)]
    subprocess.run([*_COMMAND, "run", str(experiment), *settings], check=True)
    lines = (out / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line)["record"] for line in lines]
    return [
        json.dumps(_stable(record), sort_keys=True)
        for record in records
        if record["type"] != "begin"
    ]


def _stable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _stable(inner) for key, inner in value.items() if key not in _UNSTABLE}
    return [_stable(inner) for inner in value] if isinstance(value, list) else value


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the journals")
    parser.add_argument("--demo", action="store_true", help="the demo's search too")
    parser.add_argument("--only", nargs="*", choices=[*STUDIES, "demo"], help="some of them")
    given = parser.parse_args(arguments)
    studies = dict(STUDIES)
    if given.demo:
        shipped = Path(__file__).parents[1] / "digits.yaml"
        studies["demo"] = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in given.only or studies:
            file = Path(folder, f"{name}.yaml")
            file.write_text(yaml.safe_dump(studies[name]), encoding="utf-8")
            text = "\n".join(journal(file, Path(folder)))
            (given.out / f"{name}.jsonl").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
