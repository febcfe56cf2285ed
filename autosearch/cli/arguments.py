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
    "SetOption",
    "TrustOption",
]

DirectoryArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A study's directory.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AllOption = Annotated[bool, typer.Option("--all", help="Show every point of a long front.")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu or cuda.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the noise.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="key=value", help="Change a key, such as budget.hours=1."),
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust", help="Obey the paths, loggers and cluster address in the study's own journal."
    ),
]

# What --pick takes, for help and messages; nothing heavy is imported for it.
CHOICES = 'knee, an id, best:OBJECTIVE, "OBJECTIVE<=VALUE" or "speedup>=VALUE"'
