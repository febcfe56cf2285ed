"""``run``: a search from beginning to end."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosearch.cli.arguments import AllOption, JsonOption, SetOption, TrustOption
from autosearch.cli.front import print_front, require_all
from autosearch.cli.output import (
    INTERRUPTED,
    check_least,
    note,
    print_result,
    print_text,
    warn,
)
from autosearch.errors import UserError, located

if TYPE_CHECKING:
    from autosearch.experiment import Experiment

__all__ = ["run"]

_RUNS = Path("runs")


def run(
    *,
    experiment: Annotated[
        str, typer.Argument(metavar="EXPERIMENT", help="A YAML file, or a shipped experiment.")
    ],
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="DIR", help="The study's directory (runs/NAME by default)."),
    ] = None,
    overrides: SetOption = None,
    workers: Annotated[int | None, typer.Option("--workers", help="How many workers.")] = None,
    budget: Annotated[
        int | None, typer.Option("--budget", help="How many candidates, instead of other budgets.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the search.")] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(
            "--log",
            metavar="NAME",
            help="Log to tensorboard, wandb or mlflow, instead of the experiment's loggers.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the study in the directory.")
    ] = False,
    trust: TrustOption = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would take; writes nothing.")
    ] = False,
    show_all: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Search, validate on fresh noise, and leave the front with a recipe to use."""
    if out is not None and not out.strip():
        raise UserError(f"--out {out!r}: is empty; give a directory")
    directory = _RUNS / Path(experiment).stem if out is None else Path(out)
    if directory.exists() and not directory.is_dir():
        raise UserError(f"--out {directory}: is a file; give a directory")
    changes = _changes(overrides or [], workers, budget, seed, log or [])
    if resume:
        loaded, changes = _resumed(experiment, directory, changes, trust=trust)
    else:
        from autosearch.experiment import load_experiment

        loaded = load_experiment(experiment, changes)
    if dry:
        _dry_run(loaded, directory, source=experiment, resume=resume, as_json=as_json)
        return
    from autosearch.cli.progress import make_progress
    from autosearch.engine.problem import Problem
    from autosearch.engine.run import run_study
    from autosearch.integrations.loggers.dispatch import make_loggers
    from autosearch.study.front import Front
    from autosearch.study.progress import unfinished
    from autosearch.visualization.study_outputs import draw_pictures, write_tables

    with located(experiment):
        problem = Problem.of(loaded)
    study = run_study(
        loaded,
        directory,
        problem=problem,
        source=experiment,
        resume=resume,
        progress=make_progress(),
        overrides=changes,
        loggers=make_loggers,
    )
    start = time.monotonic()
    front = Front.of(study)
    written = write_tables(directory, front)
    print_front(front, as_json=as_json, show_all=show_all)
    if as_json and front.early_end is not None:  # the table says it
        note(front.early_end)
    written += draw_pictures(directory, problem, study, front)
    seconds = {**study.phases, "artifacts": time.monotonic() - start}
    if not as_json:
        times = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
        print_text(f"time: {times}")
        print_text(f"{directory}: {', '.join(path.name for path in written)}")
    if unfinished(study) is not None:
        note(f"{directory}: saved before its end; continue with --resume --out {directory}")
        raise typer.Exit(INTERRUPTED)
    require_all(front, f"--resume --out {directory}")


def _resumed(
    experiment: str, directory: Path, changes: list[str], *, trust: bool
) -> tuple["Experiment", list[str]]:
    """The experiment of a study that goes on, and all changes that made it.

    Raises:
        UserError: for a study of another experiment, or one whose journal names places.
    """
    from autosearch.engine.run import check_same_search
    from autosearch.study.study import Study
    from autosearch.study.trust import resumed_experiment

    study = Study.read(directory)
    loaded, changes, notes = resumed_experiment(
        experiment, study, changes, trust=trust, where=directory
    )
    check_same_search(directory, study, loaded)
    for line in notes:
        warn(line)
    return loaded, changes


def _dry_run(
    experiment: "Experiment", directory: Path, *, source: str, resume: bool, as_json: bool
) -> None:
    """Say what a run would take, or what it would refuse."""
    from autosearch.cli.dry_run import dry_run_text
    from autosearch.engine.dry_run import dry_run
    from autosearch.integrations.loggers.dispatch import make_loggers

    with located(source):
        make_loggers(experiment.loggers)
    # A run loads as much before it begins.
    start = time.process_time()
    data = dry_run(experiment, start=start, out=directory, resume=resume, source=source)
    print_result(data, dry_run_text, as_json=as_json)


def _changes(
    overrides: list[str],
    workers: int | None,
    budget: int | None,
    seed: int | None,
    loggers: list[str],
) -> list[str]:
    """The command line's changes as ``key=value``; the short options come last."""
    changes = list(overrides)
    check_least("--workers", workers, 1)
    check_least("--budget", budget, 1)
    if workers is not None:
        changes.append(f"workers.count={workers}")
    if budget is not None:
        changes.append(f"budget={{candidates: {budget}}}")
    if seed is not None:
        changes.append(f"seed={seed}")
    if loggers:
        changes.append(f"loggers={json.dumps(loggers)}")
    return changes
