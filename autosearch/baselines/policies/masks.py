"""A mask of one's own: which step computes which site, from a file or an array."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autosearch.baselines.base import Policy, RecipeData
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.sites.sites import parts
from autosearch.errors import UserError

__all__ = ["POLICIES", "apply_mask"]


def apply_mask(data: RecipeData, mask: object, denoiser: Denoiser, *, where: str = "mask") -> None:
    """Let a recipe's steps reuse where a mask is 0, and compute where it is 1 (ECAD's form).

    Args:
        data: of a recipe; changed in place.
        mask: [steps, sites] or [steps, blocks, parts] of 0 and 1, for the model's innermost sites
            in execution order.
        denoiser: the model.
        where: the mask's place, for messages.

    Raises:
        UserError: for another shape or other values.
    """
    names, steps = parts(denoiser.sites), data["steps"]
    try:
        array: NDArray[Any] = np.asarray(mask)
    except ValueError:
        raise UserError(f"{where}: its rows are not all of one length") from None
    flat = array.reshape(len(array), -1) if array.ndim > 1 and array.size else array
    if flat.shape != (len(steps), len(names)):
        given = " x ".join(map(str, array.shape)) or "a single value"
        raise UserError(
            f"{where}: expected {len(steps)} steps x {len(names)} sites ({names[0]} to "
            f"{names[-1]}), got {given}"
        )
    if not np.isin(flat, (0, 1)).all():
        raise UserError(f"{where}: expected 1 (compute) and 0 (reuse) only")
    for step, row in zip(steps, flat.tolist(), strict=True):
        step["sites"] = {name: "reuse" for name, one in zip(names, row, strict=True) if not one}


def _mask(data: RecipeData, denoiser: Denoiser, file: str) -> None:
    path = Path(file)
    try:
        mask = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UserError(f"{path}: cannot read the mask: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None
    apply_mask(data, mask, denoiser, where=str(path))


POLICIES = {
    "mask": Policy(
        "a mask of steps and sites from a JSON file, 1 to compute and 0 to reuse (ECAD's form)",
        (),
        _mask,
        "sites",
        path=True,
    )
}
