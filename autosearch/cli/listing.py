"""``list`` and ``schema``."""

from typing import Annotated

import typer

from autosearch.cli.output import print_json, print_text

__all__ = ["list_", "schema"]


def list_(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND", help="experiments, spaces, objectives, algorithms, baselines or models"
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what there is by name."""
    from autosearch.catalog import catalog

    entries = catalog(kind)
    if as_json:
        print_json(entries)
        return
    width = max((len(entry["name"]) for entry in entries), default=0)
    lines = [f"{entry['name']:<{width}}  {entry['summary']}" for entry in entries]
    if kind == "baselines":
        from autosearch.diffusion.grids import GRIDS

        lines += ["", "written SOLVER[-GRID][+POLICY...]@STEPS, such as ddim-trailing@5"]
        lines.append("or dpmpp_2m+fora:3@20; settings in brackets may be left out, from the end on")
        lines.append(f"grids: {', '.join(GRIDS)}")
    print_text("\n".join(lines))


def schema() -> None:
    """Print the JSON schema of an experiment."""
    from autosearch.catalog import experiment_schema

    print_json(experiment_schema())
