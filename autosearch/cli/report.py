"""``report``: a study as one HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from autosearch.cli.arguments import CHOICES, DirectoryArgument
from autosearch.cli.output import check_output, note, warn
from autosearch.errors import UserError

__all__ = ["report"]

_SUFFIXES = (".html", ".htm")


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
    if samples is not None and samples < 0:
        raise UserError(f"--samples {samples}: use 0 or more")
    path = directory / "report.html" if output is None else output
    check_output(path)
    if path.suffix.lower() not in _SUFFIXES:
        raise UserError(f"-o {path}: a report is written as .html; use that suffix")
    from autosearch.visualization.report import Options, write_report

    missing = write_report(directory, path, Options(tuple(picks or ()), samples))
    for line in missing:
        warn(line)
    size = path.stat().st_size
    note(f"{path}: written, {size / 1e6:.1f} MB" if size > 1e5 else f"{path}: written")
