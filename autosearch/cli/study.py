"""Commands on a study's directory: ``status``, ``validate``, ``plot``, ``report``, ``export``."""

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autosearch.cli.arguments import (
    CHOICES,
    AllOption,
    DirectoryArgument,
    JsonOption,
    SetOption,
    TrustOption,
)
from autosearch.cli.front import print_front, require_all
from autosearch.cli.output import (
    INTERRUPTED,
    STDOUT,
    check_least,
    check_output,
    note,
    print_json,
    print_text,
    warn,
)
from autosearch.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from autosearch.engine.problem import Problem
    from autosearch.experiment import Experiment
    from autosearch.export import Format
    from autosearch.study.front import Front
    from autosearch.study.study import Study

__all__ = ["export", "plot", "report", "status", "validate"]


def status(
    directory: DirectoryArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again until it ends.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say where a study stands; works while it runs."""
    if watch and as_json:
        raise UserError("--watch and --json: JSON is printed once; leave one of them out")
    if watch:
        from autosearch.cli.status import watch as watch_study

        watch_study(directory)
        return
    from autosearch.cli.status import read_status, status_data, status_text

    standing = read_status(directory)
    if as_json:
        print_json(status_data(standing))
    else:
        print_text(status_text(standing))


def validate(
    *,
    directory: DirectoryArgument,
    samples: Annotated[int | None, typer.Option("--samples", help="Fresh samples.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the fresh noise.")] = None,
    overrides: SetOption = None,
    trust: TrustOption = False,
    show_all: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure the front again on fresh noise, and renew the files beside the journal."""
    check_least("--samples", samples, 1)
    check_least("--seed", seed, 0)
    from autosearch.cli.progress import make_progress
    from autosearch.engine.run import validate_study
    from autosearch.integrations.loggers.dispatch import make_loggers
    from autosearch.study.front import Front
    from autosearch.study.missing import missing
    from autosearch.study.selection import SearchFront
    from autosearch.study.study import Study
    from autosearch.study.trust import left_out
    from autosearch.visualization.study_outputs import (
        draw_pictures,
        study_problem,
        write_tables,
    )

    before = Study.read(directory)
    problem = study_problem(directory, before, overrides or (), trust=trust)
    for line in left_out(before.experiment, problem.experiment, where=directory):
        warn(line)
    study = validate_study(
        directory,
        problem=problem,
        samples=samples,
        seed=seed,
        progress=make_progress(),
        # Chosen for the search, perhaps on another machine: no reason to refuse a measurement.
        loggers=partial(make_loggers, strict=False),
    )
    front = Front.of(study)
    write_tables(directory, front)
    print_front(front, as_json=as_json, show_all=show_all)
    draw_pictures(directory, problem, study, front)
    own = study.experiment
    noise = (
        own.seed if seed is None else seed,
        own.validation.samples if samples is None else samples,
    )
    again = f"autosearch validate {directory} --samples {noise[1]} --seed {noise[0]}"
    if problem.report_measure.needs and not SearchFront.of(study).tried_on(noise):
        note(f"{directory}: saved before its end; continue with {again}")
        raise typer.Exit(INTERRUPTED)
    require_all(front, again, missing(study, noise, search=False))


def plot(
    directory: DirectoryArgument,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="A .png, .pdf or .svg file."),
    ] = None,
    pick: Annotated[
        str | None,
        typer.Option(
            "--pick",
            metavar="CHOICE",
            help="Draw this recipe instead (as in export; DIR/recipe.png).",
        ),
    ] = None,
    overrides: SetOption = None,
    trust: TrustOption = False,
) -> None:
    """Draw the front beside the baselines (DIR/front.png by default), and what heads gain."""
    from autosearch.study.front import Front
    from autosearch.study.study import Study
    from autosearch.visualization.figures import (
        check_suffix,
        front_figure,
        head_gains,
        heads_figure,
        save_figure,
    )
    from autosearch.visualization.study_outputs import study_problem

    path = output or directory / ("front.png" if pick is None else "recipe.png")
    check_output(path)
    check_suffix(path)
    study = Study.read(directory)
    front = Front.of(study)
    if pick is None:
        figures = {path: front_figure(front)}
    else:
        problem = partial(study_problem, directory, study, overrides or (), trust=trust)
        figures = {path: _plan_figure(problem, front, pick)}
    gains = None if pick is not None else head_gains(study)
    if gains is not None:
        own = path.with_name(f"{path.stem}-heads{path.suffix}")
        figures[directory / "heads.png" if output is None else own] = heads_figure(gains)
    for place, figure in figures.items():
        save_figure(figure, place)
        note(f"{place}: written")


def _plan_figure(make_problem: "Callable[[], Problem]", front: "Front", choice: str) -> Any:
    """The picture of the recipe that a choice names: steps across, sites down."""
    from autosearch.study.pick import pick
    from autosearch.visualization.study_outputs import plan_figure

    point = pick(front, choice)
    problem = make_problem()
    if not problem.denoiser.sites:
        raise UserError("--pick: this model has no sites, so there is nothing to show of a recipe")
    return plan_figure(problem, problem.compile(point.recipe), front, point)


def report(
    *,
    directory: DirectoryArgument,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="DIR/report.html by default."),
    ] = None,
    picks: Annotated[
        list[str] | None,
        typer.Option(
            "--pick",
            metavar="CHOICE",
            help=f"Show this point too, with samples, besides the knee and both ends: {CHOICES}.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", help="In each picture; 0 for none, and the model is not loaded."),
    ] = None,
    overrides: SetOption = None,
    trust: TrustOption = False,
) -> None:
    """Write one HTML file that needs nothing else: front, recipes, samples, cost."""
    check_least("--samples", samples, 0)
    path = directory / "report.html" if output is None else output
    check_output(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"-o {path}: a report is written as .html; use that suffix")
    from autosearch.visualization.report import write_report

    missing = write_report(
        directory,
        path,
        picks=picks or (),
        samples=samples,
        overrides=overrides or (),
        trust=trust,
    )
    for line in missing:
        warn(line)
    size = path.stat().st_size
    note(f"{path}: written, {size / 1e6:.1f} MB" if size > 1e5 else f"{path}: written")


def export(
    *,
    directory: DirectoryArgument,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="Where the export goes; - for standard output, of one recipe as text.",
        ),
    ],
    pick: Annotated[
        str | None,
        typer.Option("--pick", metavar="CHOICE", help=f"{CHOICES}."),
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="json, sigmas, sigma-text, cache-dit or diffusers (a folder) for one recipe, "
            "optuna for the study.",
        ),
    ] = "json",
    name: Annotated[
        str | None, typer.Option("--name", help="Of the study where it is exported to.")
    ] = None,
    overrides: SetOption = None,
    trust: TrustOption = False,
) -> None:
    """Hand over one recipe of the front, or the whole study."""
    from autosearch.export import find_format
    from autosearch.study.study import Study
    from autosearch.study.trust import trusted_experiment

    chosen = find_format(form)
    if chosen.kind != "study":
        if name is not None:
            raise UserError(
                f"--name: {chosen.name} hands over a recipe, which has none; leave it out"
            )
        if pick is None:
            raise UserError(f"--pick: missing; give {CHOICES}")
        if output != STDOUT:
            folder = chosen.kind == "folder"
            check_output(Path(output) / "recipe.json" if folder else Path(output))
    elif pick is not None:
        raise UserError(f"--pick: {chosen.name} takes the whole study; leave it out")
    if output == STDOUT and chosen.kind != "file":
        raise UserError(f"-o {STDOUT}: {chosen.name} is no single text; give the name of a place")
    study = Study.read(directory)
    experiment = partial(trusted_experiment, study, overrides or (), trust=trust, where=directory)
    if pick is not None:
        _export_recipe(
            chosen, study, pick, directory=directory, output=output, experiment=experiment
        )
        return
    if any(candidate.point is not None for candidate in study.candidates.values()):
        study.experiment = experiment()  # the box of their points is the model's
    note(f"{output}: {chosen.write(study, output, name)}")


def _export_recipe(
    form: "Format",
    study: "Study",
    pick: str,
    *,
    directory: Path,
    output: str,
    experiment: "Callable[[], Experiment]",
) -> None:
    """Write a point's recipe, the artifacts that it needs beside it, and what to know of it.

    What goes to standard output has nothing beside it.
    """
    from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore, carry_artifacts
    from autosearch.study.front import Front
    from autosearch.study.pick import choose
    from autosearch.text import number

    folder = form.kind == "folder"
    front = Front.of(study)
    chosen = choose(front, pick)
    point = chosen.point
    recipe = point.recipe
    if recipe.recovery is not None:
        from autosearch.baselines.fitted.calibrator import Calibrator
        from autosearch.baselines.fitted.names import resolve
        from autosearch.engine.problem import Problem

        calibrator = Calibrator(
            Problem.of(experiment()).denoiser, ArtifactStore([directory / FOLDER])
        )
        recipe = resolve(recipe, calibrator).recipe
    model = [experiment().model] if folder else []
    if output == STDOUT:
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "recipe"
            lines = [*form.write(recipe, path)]
            print(path.read_text(encoding="utf-8"), end="")
        if recipe.artifacts:
            lines.append(f"its artifacts stay in {directory / FOLDER}: export to a file for a copy")
    else:
        path = Path(output)
        lines = form.write(recipe, path, *model)
        carry_artifacts(recipe, directory, path if folder else path.parent)
    for line in lines:
        warn(line)
    values = ", ".join(f"{axis.name} {number(point.value(axis.name))}" for axis in front.axes)
    fast = "" if chosen.speed is None else f"; {chosen.speed.text(point)}"
    place = "standard output" if output == STDOUT else output
    note(f"{place}: {point.name} with {values}{fast}")
