"""``front``: the table, and which settings answer to a target."""

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from autosearch.cli.arguments import CHOICES, AllOption, DirectoryArgument, JsonOption
from autosearch.cli.output import print_json, print_text
from autosearch.errors import Unmeasured

if TYPE_CHECKING:
    from autosearch.study.front import Front

__all__ = ["front", "print_front", "require_all"]


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
    show_all: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the front: search and validated values, intervals, the baseline at each cost."""
    from autosearch.study.front import Front
    from autosearch.study.recommendation import recommend, recommendation_data, recommendation_text
    from autosearch.study.study import Study

    shown = Front.of(Study.read(directory))
    if pick is None:
        print_front(shown, as_json=as_json, show_all=show_all)
        return
    chosen = recommend(shown, pick)
    if as_json:
        print_json(recommendation_data(chosen))
    else:
        print_text(recommendation_text(chosen, directory=str(directory)))


def print_front(front: "Front", *, as_json: bool = False, show_all: bool = False) -> None:
    """Print a front as JSON, or as a table of a dozen points unless all are asked for."""
    from autosearch.study.front_text import MOST_ROWS, WIDTH, front_text

    if as_json:
        print_json(front.to_dict())
        return
    # A terminal's own width; what goes into a file or a pipe is as wide everywhere.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH
    print_text(front_text(front, most=None if show_all else MOST_ROWS, width=width))


def require_all(front: "Front", again: str, lacking: Sequence[str] | None = None) -> None:
    """End a command with another exit code than 0 where something that was asked for is missing.

    Args:
        front: what was shown.
        again: how to try again.
        lacking: what is missing, each in a few words; what the front lacks by default.

    Raises:
        Unmeasured: with what is missing, or why nothing is feasible.
    """
    parts = front.missing if lacking is None else lacking
    if parts:
        raise Unmeasured(f"{'; '.join(parts)}; try again with {again}")
    if front.unmet is not None:
        raise Unmeasured(front.unmet)
