"""Commands on a study's directory: ``status``, ``validate``, ``plot``, ``report``, ``export``."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosearch.cli.arguments import CHOICES, DirectoryArgument, JsonOption, read_table
from autosearch.cli.front import print_front
from autosearch.cli.output import check_least, check_output, note, print_json, print_text, warn
from autosearch.errors import UserError

if TYPE_CHECKING:
    from autosearch.export import Format

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

    status_now = read_status(directory)
    if as_json:
        print_json(status_data(status_now))
    else:
        print_text(status_text(status_now))


def validate(
    directory: DirectoryArgument,
    samples: Annotated[int | None, typer.Option("--samples", help="Fresh samples.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the fresh noise.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the front again on fresh noise, and renew the files beside the journal."""
    check_least("--samples", samples, 1)
    check_least("--seed", seed, 0)
    from autosearch.cli.progress import make_progress
    from autosearch.engine.problem import Problem
    from autosearch.engine.run import validate_study
    from autosearch.integrations.loggers.dispatch import make_loggers
    from autosearch.study.front import front_table
    from autosearch.visualization.study_outputs import write_artifacts

    study = validate_study(
        directory,
        samples=samples,
        seed=seed,
        progress=make_progress(),
        # Chosen for the search, perhaps on another machine: no reason to refuse a measurement.
        loggers=partial(make_loggers, strict=False),
    )
    write_artifacts(directory, Problem.of(study.experiment))
    print_front(front_table(study), as_json=as_json)


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
) -> None:
    """Draw the front beside the baselines (DIR/front.png by default), and what heads gain."""
    if pick is not None:
        _plot_recipe(directory, pick, output)
        return
    path = directory / "front.png" if output is None else output
    from autosearch.study.front import front_table
    from autosearch.study.study import Study
    from autosearch.visualization.figures import check_suffix, head_gains, plot_front, plot_heads

    check_output(path)
    check_suffix(path)
    study = Study.read(directory)
    plot_front(front_table(study), path)
    note(f"{path}: written")
    gains = head_gains(study)
    if gains is not None:
        own = path.with_name(f"{path.stem}-heads{path.suffix}")
        beside = directory / "heads.png" if output is None else own
        plot_heads(gains, beside)
        note(f"{beside}: written")


def _plot_recipe(directory: Path, choice: str, output: Path | None) -> None:
    """Steps across, sites down: what the chosen recipe does at each."""
    path = directory / "recipe.png" if output is None else output
    from autosearch.engine.problem import Problem
    from autosearch.study.front_view import FrontView
    from autosearch.study.pick import pick
    from autosearch.study.study import Study
    from autosearch.visualization.figures import check_suffix
    from autosearch.visualization.study_outputs import draw_recipe

    check_output(path)
    check_suffix(path)
    view = FrontView(read_table(directory))
    chosen = pick(view, choice)
    problem = Problem.of(Study.read(directory).experiment)
    if not problem.denoiser.sites:
        raise UserError("--pick: this model has no sites, so there is nothing to show of a recipe")
    plan = problem.compile(chosen.to_recipe())
    draw_recipe(problem, plan, chosen, path, quality=view.quality.name)
    note(f"{path}: written")


def report(
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
) -> None:
    """Write one HTML file that needs nothing else: front, recipes, samples, cost."""
    check_least("--samples", samples, 0)
    path = directory / "report.html" if output is None else output
    check_output(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"-o {path}: a report is written as .html; use that suffix")
    from autosearch.visualization.report import Options, write_report

    missing = write_report(directory, path, Options(tuple(picks or ()), samples))
    for line in missing:
        warn(line)
    size = path.stat().st_size
    note(f"{path}: written, {size / 1e6:.1f} MB" if size > 1e5 else f"{path}: written")


def export(
    directory: DirectoryArgument,
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="PATH", help="Where the export goes."),
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
) -> None:
    """Hand over one recipe of the front, or the whole study."""
    from autosearch.export import find_format
    from autosearch.study.study import Study

    chosen = find_format(form)
    if chosen.kind != "study":
        if name is not None:
            raise UserError(
                f"--name: {chosen.name} hands over a recipe, which has none; leave it out"
            )
        if pick is None:
            raise UserError(f"--pick: missing; give {CHOICES}")
        _export_recipe(chosen, directory, Path(output), pick)
        return
    if pick is not None:
        raise UserError(f"--pick: {chosen.name} takes the whole study; leave it out")
    note(f"{output}: {chosen.write(Study.read(directory), output, name)}")


def _export_recipe(form: "Format", directory: Path, path: Path, pick: str) -> None:
    """Write a point's recipe, the artifacts that it needs beside it, and what to know of it."""
    from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore, carry_artifacts
    from autosearch.study.front_view import FrontView
    from autosearch.study.pick import choose
    from autosearch.study.study import Study
    from autosearch.text import number

    folder = form.kind == "folder"
    check_output(path / "recipe.json" if folder else path)
    view = FrontView(read_table(directory))
    chosen = choose(view, pick)
    point = chosen.point
    recipe = point.to_recipe()
    if recipe.recovery is not None:
        from autosearch.baselines.fitted.calibrator import Calibrator
        from autosearch.baselines.fitted.names import resolve
        from autosearch.visualization.study_outputs import study_problem

        store = ArtifactStore([directory / FOLDER])
        recipe = resolve(recipe, Calibrator(study_problem(directory).denoiser, store)).recipe
    if folder:
        lines = form.write(recipe, path, Study.read(directory).experiment.model)
    else:
        lines = form.write(recipe, path)
    carry_artifacts(recipe, directory, path if folder else path.parent)
    for line in lines:
        warn(line)
    values = ", ".join(f"{axis.name} {number(point.value(axis.name))}" for axis in view.axes)
    fast = "" if chosen.speed is None else f"; {chosen.speed.text(point)}"
    note(f"{path}: {point.name} with {values}{fast}")
