"""``calibrate``: measure a model once, for solvers that make use of it."""

from pathlib import Path
from typing import Annotated

import typer

from autosearch.cli.arguments import DeviceOption, JsonOption, SeedOption
from autosearch.cli.output import STDOUT, check_output, note, print_json
from autosearch.errors import UserError

__all__ = ["calibrate"]


def calibrate(
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model by name.")],
    method: Annotated[
        str,
        typer.Option("--method", help="v3 (DPM-Solver-v3), dc, olss, boss, gits, oss or dmn."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE.safetensors|FOLDER",
            help="A file for statistics (v3), a folder for recipes (the others).",
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
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Measure a model once: recipes fitted to it, or statistics that any recipe can use."""
    if str(output) == STDOUT:
        check_output(output)
    if output.is_dir() != (not output.suffix) and output.exists():
        kind = "a directory" if output.is_dir() else "a file"
        raise UserError(f"-o {output}: is {kind} already; give another name")
    import torch

    from autosearch.baselines.fitted.calibrate import calibrate as measure
    from autosearch.models.spec import ModelSpec

    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise UserError(f"--device {device}: this machine has no such device; use --device cpu")
    denoiser = ModelSpec(model).load().to(device).denoiser
    calibration = measure(
        denoiser, method, output, solver=solver, steps=steps, samples=samples, seed=seed
    )
    files = [str(path) for path in calibration.files]
    spent = calibration.forward_equivalents
    if as_json:
        print_json({"method": method, "files": files, "forward_equivalents": spent})
    else:
        note("\n".join([*files, f"measured with {spent:.0f} forwards of one sample"]))
