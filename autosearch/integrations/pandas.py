"""A study as a data frame of pandas: one row for each candidate."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autosearch.errors import missing
from autosearch.study.front import Front
from autosearch.study.ranking import Ranking, objectives_of
from autosearch.study.study import Estimates, Study

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

__all__ = ["study_frame"]

# Columns that a candidate has under the same names.
_OWN = ("id", "kind", "name", "status", "reason", "nominal", "seconds", "duplicates")


def study_frame(study: Study | Path | str) -> "pandas.DataFrame":
    """The candidates of a study in the order of their numbers, baselines first.

    Columns:

        id, kind, name       the index; ``baseline`` or ``search``; a baseline's name
        status, reason       ``ok``, ``infeasible`` or ``pending``, and why it is infeasible
        on_front             whether it is on the front of ``autosearch front``
        search_front         whether it is on the front of the search's values
        overtaken_by         who beats it, for points that fell off the front
        OBJECTIVE            the search's value, and its standard error in ``OBJECTIVE_error``
        OBJECTIVE_validated  on fresh noise, with ``_low`` and ``_high``, the 95% interval's ends
        steps, forward_equivalents, nominal, seconds, duplicates, recipe
                             ``recipe`` is JSON text, as ``autosearch evaluate`` reads it

    ``attrs`` has the study's name, its model, and the directions of its objectives.

    Args:
        study: the study, or its directory.

    Raises:
        UserError: when pandas is missing, or the directory holds no study.
    """
    try:
        import pandas
    except ImportError as error:
        raise missing(error, install="autosearch[frame]", what="study_frame") from None
    study = study if isinstance(study, Study) else Study.read(Path(study))
    rows = _rows(study)
    frame = pandas.DataFrame(rows, columns=_columns(study, rows)).set_index("id")
    frame["overtaken_by"] = frame["overtaken_by"].astype("Int64")
    frame.attrs |= {
        "study": study.header.name,
        "model": study.header.model_name,
        "directions": {o.name: o.direction for o in objectives_of(study)},
    }
    return frame


def _rows(study: Study) -> list[dict[str, Any]]:
    front = Front.of(study)
    searched = Ranking.of(study.feasible, objectives_of(study))
    search_front = {searched.candidates[i].id for i in searched.front()}
    rows = []
    for number, candidate in sorted(study.candidates.items()):
        point, recipe = front.by_number.get(number), study.recipe(candidate)
        rows.append(
            {
                **{name: getattr(candidate, name) for name in _OWN},
                "steps": len(recipe.steps),
                "forward_equivalents": candidate.executed,
                "recipe": json.dumps(recipe.to_dict()),
                "on_front": point is not None and point.on_front,
                "search_front": number in search_front,
                "overtaken_by": None if point is None else point.overtaken_by,
                **_values(candidate.values, front.fresh.get(number, {})),
            }
        )
    return rows


def _values(searched: Estimates, validated: Estimates) -> dict[str, float]:
    """Values of the search with their errors, and those on fresh noise with their intervals."""
    columns = {}
    for name, estimate in searched.items():
        columns[name] = estimate.value
        if estimate.pseudo:
            columns[f"{name}_error"] = estimate.standard_error
    for name, estimate in validated.items():
        if estimate.pseudo:
            columns[f"{name}_validated"] = estimate.value
            columns[f"{name}_low"], columns[f"{name}_high"] = estimate.interval()
    return columns


def _columns(study: Study, rows: list[dict[str, Any]]) -> list[str]:
    """What a candidate is, then each objective and what else was measured, then what it cost."""
    first = ["id", "kind", "name", "status", "reason", "on_front", "search_front", "overtaken_by"]
    last = ["steps", "forward_equivalents", "nominal", "seconds", "duplicates", "recipe"]
    known = dict.fromkeys(key for row in rows for key in row)
    names = [*study.experiment.objectives, *(name.removesuffix("_validated") for name in known)]
    values = [
        name + ending
        for name in dict.fromkeys(names)
        for ending in ("", "_error", "_validated", "_low", "_high")
        if name + ending in known or (name in study.experiment.objectives and not ending)
    ]
    return [*first, *(v for v in dict.fromkeys(values) if v not in {*first, *last}), *last]
