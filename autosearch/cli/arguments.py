"""What commands share: arguments and options, and the table of a study's front."""

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "CHOICES",
    "DeviceOption",
    "DirectoryArgument",
    "JsonOption",
    "SeedOption",
    "read_table",
]

DirectoryArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A study's directory.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu or cuda.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the noise.")]

# What --pick takes, for help and messages; nothing heavy is imported for it.
CHOICES = 'knee, an id, best:OBJECTIVE, "OBJECTIVE<=VALUE" or "speedup>=VALUE"'


def read_table(directory: Path) -> dict[str, Any]:
    """The front of a study, as ``front --json`` prints it."""
    from autosearch.study.front import front_table
    from autosearch.study.study import Study

    return front_table(Study.read(directory))
