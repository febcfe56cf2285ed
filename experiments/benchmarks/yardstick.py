"""Cost to front: what each search has to spend until its front is as good as another's.

``python -m autosearch.experiments.benchmarks.yardstick --space timesteps --out runs/yardstick``

Every contestant has the same model, noise, samples for each candidate and budget in forward
equivalents, in which everything is counted. The fronts that they had at a series of costs are
measured again on noise that no search has seen, each distinct plan once; their hypervolumes are on
one set of axes. Interrupted, it goes on where it was: finished studies and measurements are read.
"""

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from autosearch.errors import UserError, unknown_name
from autosearch.experiments.benchmarks.contestants import (
    ABLATION,
    CONTESTANTS,
    JUDGE,
    OURS,
    SPACES,
    Contestant,
    Course,
)
from autosearch.experiments.benchmarks.yardstick_chart import plot_chart
from autosearch.experiments.benchmarks.yardstick_fronts import Run, checkpoints, followed
from autosearch.experiments.benchmarks.yardstick_studies import searched
from autosearch.experiments.benchmarks.yardstick_table import markdown, milestones, rows
from autosearch.experiments.benchmarks.yardstick_validation import Validator

__all__ = ["chosen", "compare", "load_runs", "save_runs"]

_CHECKPOINTS = 8
# Ours is looked at this many times as often, since the others' costs are told in its own; so are
# all in an ablation.
_FINER = 4
_REPORT = "report.json"
_ABLATION = "ablation.json"


def compare(
    course: Course,
    contestants: Sequence[Contestant],
    seeds: Sequence[int],
    folder: Path,
    *,
    share: float = 1.0,
    points: int = _CHECKPOINTS,
    finer: Collection[str] = (OURS.name,),
) -> list[Run]:
    """Search, follow and measure; one run for each contestant and seed.

    Args:
        course: the space that is searched.
        contestants: who searches it.
        seeds: of the searches, one run of each.
        folder: of this space; finished studies in it are read.
        share: of the space's budget, for a try.
        points: checkpoints of each contestant.
        finer: who is looked at four times as often.
    """
    runs = []
    judged = course.experiment(JUDGE, 0, share=share)
    budget = judged.budget.forward_equivalents
    assert budget is not None
    with Validator(judged, folder, course.validation) as validator:
        for contestant in contestants:
            often = _FINER if contestant.name in finer else 1
            costs = checkpoints(budget, points * often)
            for seed in seeds:
                experiment = course.experiment(contestant, seed, share=share)
                study = searched(contestant, experiment, folder / f"{contestant.name}-{seed}")
                run = followed(study, contestant=contestant.name, costs=costs, validator=validator)
                runs.append(run)
                sys.stderr.write(
                    f"{course.name} {contestant.name} seed {seed}: {run.candidates} candidates, "
                    f"{run.cost / 1e6:.2f} M, volume {run.final:.4f}\n"
                )
    return runs


def save_runs(runs: Sequence[Run], folder: Path, name: str = _REPORT) -> None:
    """Write runs and table where :func:`load_runs` finds them."""
    report = {"runs": [run.to_dict() for run in runs], "table": rows(runs)}
    (folder / name).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def load_runs(out: Path) -> dict[str, list[Run]]:
    """The saved runs of all spaces under a folder."""
    found = {}
    for name in SPACES:
        path = out / name / _REPORT
        if path.exists():
            data = json.loads(path.read_text(encoding="utf-8"))
            found[name] = [
                Run(**{key: _tuples(value) for key, value in run.items()}) for run in data["runs"]
            ]
    return found


def _tuples(value: Any) -> Any:
    return tuple(_tuples(inner) for inner in value) if isinstance(value, list) else value


def chosen(names: Sequence[str], known: Sequence[Contestant]) -> list[Contestant]:
    """Contestants by name; without names all of them.

    Raises:
        UserError: for an unknown name.
    """
    by_name = {one.name: one for one in known}
    for name in names:
        if name not in by_name:
            raise unknown_name("contestant", name, by_name, where="--contestants")
    return [by_name[name] for name in names or by_name]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", choices=sorted(SPACES), required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--contestants", nargs="+", default=[], help="by default all of them")
    parser.add_argument("--ablation", action="store_true", help="compare ours with parts of it")
    parser.add_argument("--out", type=Path, default=Path("runs/yardstick"))
    parser.add_argument("--share", type=float, default=1.0, help="of the budget, for a try")
    options = parser.parse_args()
    folder = options.out / options.space
    course = SPACES[options.space]
    known, default = (ABLATION, ()) if options.ablation else (CONTESTANTS, course.contestants)
    try:
        contestants = chosen(options.contestants or default, known)
        finer = [one.name for one in contestants] if options.ablation else [OURS.name]
        runs = compare(course, contestants, options.seeds, folder, share=options.share, finer=finer)
    except UserError as error:
        parser.error(str(error))
    save_runs(runs, folder, _ABLATION if options.ablation else _REPORT)
    if options.ablation:
        sys.stdout.write(milestones(runs, ABLATION) + "\n")
        return
    plot_chart(load_runs(options.out), options.out / "cost-to-front.png", ours=OURS.name)
    sys.stdout.write(markdown(rows(runs)) + "\n")


if __name__ == "__main__":
    main()
