"""``calibrate``: measure a model once, for solvers that make use of it."""

from pathlib import Path
from typing import Annotated

import typer

from autosearch.cli.output import note, print_json
from autosearch.errors import UserError

__all__ = ["calibrate"]


def calibrate(
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model by name.")],
    method: Annotated[str, typer.Option("--method", help="v3 (DPM-Solver-v3), dc, olss or boss.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE.safetensors|FOLDER",
            help="A file for statistics (v3), a folder for recipes (dc, olss, boss).",
        ),
    ],
    solver: Annotated[
        str | None,
        typer.Option("--solver", metavar="SOLVER[-GRID]", help="What is fitted."),
    ] = None,
    steps: Annotated[
        tuple[int, int] | None,
        typer.Option("--steps", metavar="LOW HIGH", help="Numbers of steps; 3 10 by default."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", help="How many samples to measure on.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the noise.")] = 0,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a model once: recipes fitted to it, or statistics that any recipe can use."""
    if output.is_dir() != (not output.suffix) and output.exists():
        kind = "a directory" if output.is_dir() else "a file"
        raise UserError(f"-o {output}: is {kind} already; give another name")
    import torch

    from autosearch.baselines.fitted.calibrate import calibrate as measure
    from autosearch.models.spec import ModelSpec

    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise UserError(f"--device {device}: this machine has no such device; use --device cpu")
    denoiser = ModelSpec(model).load().to(device).denoiser
    found = measure(
        denoiser, method, output, solver=solver, steps=steps, samples=samples, seed=seed
    )
    if as_json:
        print_json(
            {
                "method": method,
                "files": [str(path) for path in found.files],
                "forward_equivalents": found.forward_equivalents,
            }
        )
    for path in found.files if not as_json else ():
        note(f"{path}")
    if not as_json:
        note(f"measured with {found.forward_equivalents:.0f} forwards of one sample")
