"""Reading rows and references: float64, of the right shape, finite, or a clear refusal.

Arrays are copied: those that come from another process are read-only, which torch cannot take.
"""

from collections.abc import Mapping

import numpy as np

from autosearch._typing import Array, Rows
from autosearch.errors import Infeasible, UserError

__all__ = ["column_count", "reference_rows", "sample_rows"]


def sample_rows(rows: Rows, name: str, *, objective: str, ndim: int = 2) -> Array:
    """``rows[name]`` of the generated samples, [N, columns] or [N], as contiguous float64.

    Raises:
        UserError: when the model does not give such rows.
        Infeasible: when a row is not finite.
    """
    if name not in rows:
        raise _not_given(name, rows, objective)
    values = np.array(rows[name], dtype=np.float64, order="C")
    if values.ndim != ndim:
        raise ValueError(f"{objective}: {name} has {values.ndim} axes, expected {ndim}")
    bad = int((~np.isfinite(values)).any(axis=tuple(range(1, ndim))).sum())
    if bad:
        raise Infeasible(f"{objective}: {name} of {bad} of {len(values)} samples are not finite")
    return values


def reference_rows(reference: Rows, name: str, *, objective: str, columns: int) -> Array:
    """``reference[name]``, whose last axis has ``columns`` entries, as contiguous float64.

    Raises:
        UserError: when the reference lacks it, has another width or is not finite.
    """
    if name not in reference:
        held = ", ".join(sorted(reference)) or "nothing"
        raise UserError(
            f"{objective}: the reference has no {name!r} (it holds {held}); "
            "choose another objective or give a reference that has it"
        )
    values = np.array(reference[name], dtype=np.float64, order="C")
    if values.ndim == 0 or values.shape[-1] != columns:
        raise UserError(
            f"{objective}: {name!r} of the reference has shape {list(values.shape)} but the "
            f"samples have {columns} columns; make the reference with the same feature network"
        )
    if not np.isfinite(values).all():
        raise UserError(f"{objective}: {name!r} of the reference is not finite; make it again")
    return values


def column_count(widths: Mapping[str, int], name: str, *, objective: str) -> int:
    """The number of columns of a kind of rows.

    Raises:
        UserError: when the model does not give such rows.
    """
    if name not in widths:
        raise _not_given(name, widths, objective)
    return widths[name]


def _not_given(name: str, given: Mapping[str, object], objective: str) -> UserError:
    names = ", ".join(sorted(given)) or "nothing"
    return UserError(
        f"{objective}: needs {name!r}, but this model gives {names}; choose another objective"
    )
