"""``front``: the table, and which settings answer to a target."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from autosearch.cli.arguments import CHOICES, DirectoryArgument, JsonOption, read_table
from autosearch.cli.output import print_json, print_text

__all__ = ["front", "print_front"]


def front(
    directory: DirectoryArgument,
    pick: Annotated[
        str | None,
        typer.Option(
            "--pick",
            metavar="CHOICE",
            help=f"Recommendation for a target: {CHOICES}. Shows the point, its neighbours, its "
            "baseline and its settings.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the front: search and validated values, intervals, the baseline at each cost."""
    table = read_table(directory)
    if pick is not None:
        _recommend(table, pick, directory, as_json=as_json)
    else:
        print_front(table, as_json=as_json)


def _recommend(table: Mapping[str, Any], choice: str, directory: Path, *, as_json: bool) -> None:
    """Print which settings to use for a target."""
    from autosearch.study.front_view import FrontView
    from autosearch.study.recommendation import recommend, recommendation_data, recommendation_text

    view = FrontView(table)
    recommendation = recommend(view, choice)
    if as_json:
        print_json(recommendation_data(view, recommendation))
    else:
        print_text(recommendation_text(view, recommendation, directory=str(directory)))


def print_front(table: Mapping[str, Any], *, as_json: bool = False) -> None:
    """The front as JSON where that is asked for, a rich table on a terminal, else plain text."""
    if as_json:
        print_json(table)
        return
    if not sys.stdout.isatty():
        from autosearch.study.front_text import front_text

        print_text(front_text(table))
        return
    from rich.console import Console
    from rich.table import Table

    from autosearch.study.front_text import columns, rows, summary_lines, title
    from autosearch.study.front_view import FrontView

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
