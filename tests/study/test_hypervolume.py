"""The hypervolume over a search."""

from typing import Any

import numpy as np
import pytest

from autosearch.errors import UserError
from autosearch.study.events import parse_event
from autosearch.study.front import Front
from autosearch.study.hypervolume import Growth, hypervolume, volumes
from autosearch.study.study import Study

AXES = {
    "fid": {"zero": 0.01, "one": 1.0, "log": True},
    "nfe": {"zero": 1.0, "one": 100.0, "log": True},
}


def study_of(*values: tuple[float, float] | None, scale: bool = True) -> Study:
    """Candidates with these values of fid and nfe; None is infeasible."""
    header = {
        "type": "header",
        "name": "made",
        "version": "0",
        "model_name": "mixture",
        "model": {"family": "vp", "schedule": "linear", "prediction": "noise", "weights": "w"},
        "experiment": {
            "model": "mixture",
            "space": {"timesteps": {}},
            "objectives": ["fid", "nfe"],
        },
        "overrides": [],
    }
    records: list[dict[str, Any]] = [header]
    records += [{"type": "scale", "axes": AXES}] if scale else []
    for i, pair in enumerate(values):
        genome = {"start": {"scale": "unit"}, "steps": [{"time": 500}], "end": "clean"}
        records.append(
            {
                "type": "ask",
                "id": i,
                "kind": "search",
                "name": None,
                "genome": genome,
                "identity": f"plan{i}",
                "nominal": 1.0,
                "told": 0,
                "duplicates": 0,
            }
        )
        found = dict(zip(("fid", "nfe"), pair, strict=True)) if pair else {}
        records.append(
            {
                "type": "result",
                "id": i,
                "status": "ok" if pair else "infeasible",
                "reason": None if pair else "nfe is above 10",
                "values": {k: {"value": v, "pseudo": []} for k, v in found.items()},
                "forward_equivalents": 1.0,
                "samples": 100,
                "seconds": 0.1,
            }
        )
    return Study.of(parse_event(record) for record in records)


def test_it_grows_with_the_front_in_closed_form() -> None:
    # On the axes the points are (0.5, 0.5), a dominated one, none, and (0, 0.75).
    study = study_of((0.1, 10.0), (0.5, 50.0), None, (0.01, 10**1.5))
    assert volumes(study) == [
        Growth(1, pytest.approx(0.25)),
        Growth(2, pytest.approx(0.25)),
        Growth(3, pytest.approx(0.25)),
        Growth(4, pytest.approx(0.375)),
    ]


def test_it_never_falls_and_ends_at_that_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    values = 10 ** rng.uniform((-2, 0), (0, 2), (60, 2))
    study = study_of(*map(tuple, values.tolist()))
    found = volumes(study, most=7)
    assert len(found) == 7
    assert found[-1].candidates == 60
    assert [g.volume for g in found] == sorted(g.volume for g in found)
    assert found[-1].volume == pytest.approx(hypervolume(study.scale.axes, ["fid", "nfe"], values))
    assert found[-1].volume == pytest.approx(Front.of(study).to_dict()["hypervolume"]["search"])


def test_without_axes_or_results_there_is_none() -> None:
    assert volumes(study_of((0.1, 10.0), scale=False)) == []
    assert volumes(study_of()) == []


@pytest.mark.parametrize("changes", [{"one": 0.01}, {"zero": -1.0}, {"one": 0.0}])
def test_axes_without_a_length_are_refused_when_a_journal_is_read(
    changes: dict[str, float],
) -> None:
    axes = {**AXES, "fid": {**AXES["fid"], **changes}}
    with pytest.raises(UserError, match="there is no axis"):
        parse_event({"type": "scale", "axes": axes})
