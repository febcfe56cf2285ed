"""Commands on a study's directory: ``front``, ``status``, ``validate``, ``plot``, ``export``."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autosearch.cli.output import check_output, note, print_json, print_text, warn
from autosearch.errors import UserError

if TYPE_CHECKING:
    from autosearch.export import FolderFormat, Format, StudyFormat

__all__ = ["export", "front", "plot", "status", "validate"]

DirectoryArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A study's directory.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_WATCH_SECONDS = 2.0


def front(directory: DirectoryArgument, as_json: JsonOption = False) -> None:
    """Show the front: search and validated values, intervals, the baseline at each cost."""
    table = _table(directory)
    if as_json:
        print_json(table)
    else:
        print_front(table)


def status(
    directory: DirectoryArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again until it ends.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say where a study stands; works while it runs."""
    if watch and as_json:
        raise UserError("--watch and --json: JSON is printed once; leave one of them out")
    from autosearch.cli.status import status_data, status_text

    data = status_data(directory)
    if as_json:
        print_json(data)
        return
    print_text(status_text(data))
    while watch and data["state"] == "running":
        time.sleep(_WATCH_SECONDS)
        data = status_data(directory)
        print_text("\n" + status_text(data))
        sys.stdout.flush()


def validate(
    directory: DirectoryArgument,
    samples: Annotated[int | None, typer.Option("--samples", help="Fresh samples.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the fresh noise.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the front again on fresh noise, and renew the files beside the journal."""
    if samples is not None and samples < 1:
        raise UserError(f"--samples {samples}: use at least 1")
    if seed is not None and seed < 0:
        raise UserError(f"--seed {seed}: is below 0; use 0 or more")
    from autosearch.artifacts import write_artifacts
    from autosearch.cli.progress import make_progress
    from autosearch.front import front_table
    from autosearch.problem import Problem
    from autosearch.run import validate_study

    study = validate_study(directory, samples=samples, seed=seed, progress=make_progress())
    write_artifacts(directory, Problem(study.experiment))
    table = front_table(study)
    if as_json:
        print_json(table)
    else:
        print_front(table)


def plot(
    directory: DirectoryArgument,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="A .png, .pdf or .svg file."),
    ] = None,
    pick: Annotated[
        str | None,
        typer.Option("--pick", help="Draw this recipe instead (as in export; DIR/recipe.png)."),
    ] = None,
) -> None:
    """Draw the front beside the baselines (DIR/front.png by default), and what heads gain."""
    if pick is not None:
        _plot_recipe(directory, pick, output)
        return
    path = directory / "front.png" if output is None else output
    from autosearch.front import front_table
    from autosearch.plotting import check_suffix, head_gains, plot_front, plot_heads
    from autosearch.study import Study

    check_output(path)
    check_suffix(path)
    study = Study.read(directory)
    plot_front(front_table(study), path)
    note(f"{path}: written")
    gains = head_gains(study)
    if gains is not None:
        beside = directory / "heads.png" if output is None else _beside(path)
        plot_heads(gains, beside)
        note(f"{beside}: written")


def _plot_recipe(directory: Path, choice: str, output: Path | None) -> None:
    """Steps across, sites down: what the chosen recipe does at each."""
    path = directory / "recipe.png" if output is None else output
    from autosearch.artifacts import draw_recipe
    from autosearch.export import pick
    from autosearch.front_view import FrontView
    from autosearch.plotting import check_suffix
    from autosearch.problem import Problem
    from autosearch.recipe import Recipe
    from autosearch.study import Study

    check_output(path)
    check_suffix(path)
    view = FrontView(_table(directory))
    chosen = pick(view, choice)
    problem = Problem(Study.read(directory).experiment)
    if not problem.denoiser.sites:
        raise UserError("--pick: this model has no sites, so there is nothing to show of a recipe")
    plan = problem.compile(Recipe.from_dict(chosen.recipe, where=f"candidate {chosen.id}"))
    draw_recipe(problem, plan, chosen, path, quality=view.quality.name)
    note(f"{path}: written")


def export(
    directory: DirectoryArgument,
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="PATH", help="Where the export goes."),
    ],
    pick: Annotated[
        str | None,
        typer.Option("--pick", help='knee, an id, best:OBJECTIVE or "OBJECTIVE<=VALUE".'),
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
    from autosearch import export as exports

    chosen = exports.find_format(form)
    if isinstance(chosen, exports.StudyFormat):
        _export_study(chosen, directory, output, pick=pick, name=name)
    else:
        _export_recipe(chosen, directory, Path(output), pick=pick, name=name)


def _export_study(
    form: "StudyFormat", directory: Path, place: str, *, pick: str | None, name: str | None
) -> None:
    from autosearch.study import Study

    if pick is not None:
        raise UserError(f"--pick: {form.name} takes the whole study; leave it out")
    note(f"{place}: {form.write(Study.read(directory), place, name)}")


def _export_recipe(
    form: "Format | FolderFormat",
    directory: Path,
    path: Path,
    *,
    pick: str | None,
    name: str | None,
) -> None:
    from autosearch import export as exports
    from autosearch.front_view import FrontView, number
    from autosearch.recipe import Recipe
    from autosearch.study import Study

    if name is not None:
        raise UserError(f"--name: {form.name} hands over a recipe, which has none; leave it out")
    if pick is None:
        raise UserError('--pick: missing; give knee, an id, best:OBJECTIVE or "OBJECTIVE<=VALUE"')
    folder = isinstance(form, exports.FolderFormat)
    check_output(path / "recipe.json" if folder else path)
    view = FrontView(_table(directory))
    point = exports.pick(view, pick)
    recipe = Recipe.from_dict(point.recipe, where=f"candidate {point.id}")
    if isinstance(form, exports.FolderFormat):
        lines = form.write(recipe, path, Study.read(directory).experiment.model)
    else:
        lines = form.write(recipe, path)
    for line in lines:
        warn(line)
    values = ", ".join(f"{axis.name} {number(point.value(axis.name))}" for axis in view.axes)
    note(f"{path}: {point.name} with {values}")


def print_front(table: Mapping[str, Any]) -> None:
    """A rich table on a terminal, plain text elsewhere."""
    if not sys.stdout.isatty():
        from autosearch.front_text import front_text

        print_text(front_text(table))
        return
    from rich.console import Console
    from rich.table import Table

    from autosearch.front_text import columns, rows, summary_lines, title
    from autosearch.front_view import FrontView

    view = FrontView(table)
    shown = Table(title=title(view), title_justify="left")
    for name in columns(view):
        left = name in ("recipe", "baseline")
        shown.add_column(name, justify="left" if left else "right", no_wrap=True)
    for row in rows(view):
        shown.add_row(*row)
    console = Console()
    console.print(shown, markup=False)
    console.print("\n".join(summary_lines(view)), markup=False, highlight=False)


def _beside(path: Path) -> Path:
    """Where the picture of heads goes when that of the front goes to a place of its own."""
    return path.with_name(f"{path.stem}-heads{path.suffix}")


def _table(directory: Path) -> dict[str, Any]:
    from autosearch.front import front_table
    from autosearch.study import Study

    return front_table(Study.read(directory))
