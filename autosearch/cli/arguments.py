"""Arguments and options that commands share."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "CHOICES",
    "AllOption",
    "DeviceOption",
    "DirectoryArgument",
    "JsonOption",
    "SeedOption",
]

DirectoryArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A study's directory.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AllOption = Annotated[bool, typer.Option("--all", help="Show every point of a long front.")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu or cuda.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the noise.")]

# What --pick takes, for help and messages; nothing heavy is imported for it.
CHOICES = 'knee, an id, best:OBJECTIVE, "OBJECTIVE<=VALUE" or "speedup>=VALUE"'
