"""Fronts of studies made by hand, where the right answer is known."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.errors import UserError
from autosearch.objectives import Estimate, compare
from autosearch.study.events import ScaleAxis, parse_event
from autosearch.study.front import Front
from autosearch.study.front_text import front_text
from autosearch.study.hypervolume import hypervolume, make_scale
from autosearch.study.pick import pick
from autosearch.study.progress import front_entries
from autosearch.study.ranking import Ranking, non_dominated, objectives_of
from autosearch.study.selection import selection
from autosearch.study.study import Study

Values = dict[str, float]
MODEL = {"family": "vp", "schedule": "linear", "prediction": "noise", "weights": "w"}


def header(objectives: Sequence[str], **keys: Any) -> dict[str, Any]:
    experiment = {
        "model": "mixture",
        "space": {"timesteps": {}},
        "objectives": list(objectives),
        **keys,
    }
    return {
        "type": "header",
        "name": "hand-made",
        "version": "0",
        "model_name": "mixture",
        "model": MODEL,
        "experiment": experiment,
        "overrides": [],
    }


def encoded(values: Values) -> dict[str, Any]:
    """Journal data whose pseudo-values are the value, plus and minus one tenth of it."""
    return {
        name: {"value": value, "pseudo": [] if name in ("nfe", "macs") else [value, value * 1.1]}
        for name, value in values.items()
    }


def candidate(
    number: int, values: Values | None, *, name: str | None = None, reason: str | None = None
) -> list[dict[str, Any]]:
    """An ask, and its result unless there are no values and no reason."""
    ask = {
        "type": "ask",
        "id": number,
        "kind": "search" if name is None else "baseline",
        "name": name,
        "genome": {"start": {"scale": "unit"}, "steps": [{"time": 900 - number}], "end": "clean"},
        "identity": f"plan{number}",
        "nominal": 10.0,
        "duplicates": 1,
        "told": 0,
    }
    result = {
        "type": "result",
        "id": number,
        "status": "ok" if reason is None else "infeasible",
        "reason": reason,
        "values": encoded(values or {}),
        "forward_equivalents": 9.0,
        "seconds": 0.1,
        "samples": 400,
    }
    return [ask] if values is None and reason is None else [ask, result]


def validation(number: int, values: Values, *, seed: int = 0, samples: int = 800) -> dict[str, Any]:
    return {
        "type": "validation",
        "id": number,
        "identity": f"plan{number}",
        "seed": seed,
        "samples": samples,
        "values": encoded(values),
        "forward_equivalents": 20.0,
    }


def study_of(objectives: Sequence[str], *records: Any, **keys: Any) -> Study:
    flat: list[dict[str, Any]] = [header(objectives, **keys)]
    for record in records:
        flat += record if isinstance(record, list) else [record]
    # What was written is what is read.
    return Study.of(parse_event(record) for record in flat)


def points(study: Study) -> dict[int, dict[str, Any]]:
    return {point["id"]: point for point in Front.of(study).to_dict()["points"]}


def on_front(study: Study) -> set[int]:
    return {number for number, point in points(study).items() if point["on_front"]}


FOUR = [
    candidate(0, {"fid": 8.0, "nfe": 2.0}, name="ddim@2"),
    candidate(1, {"fid": 2.0, "nfe": 4.0}, name="ddim@4"),
    candidate(2, {"fid": 1.0, "nfe": 4.0}),
    candidate(3, {"fid": 3.0, "nfe": 3.0}),
    candidate(4, {"fid": 4.0, "nfe": 4.0}),
]


# -- membership --------------------------------------------------------------------------------


def test_the_front_by_search_values():
    study = study_of(["fid", "nfe"], *FOUR)
    assert on_front(study) == {0, 2, 3}
    assert {p["overtaken_by"] for p in points(study).values() if p["on_front"]} == {None}


def test_ties_stay_together_on_the_front():
    study = study_of(
        ["fid", "nfe"], *FOUR, candidate(5, {"fid": 1.0, "nfe": 4.0}), candidate(6, None)
    )
    assert on_front(study) == {0, 2, 3, 5}


def test_what_is_maximised_and_three_objectives():
    study = study_of(
        ["fid", "precision", "nfe"],
        candidate(0, {"fid": 2.0, "precision": 0.5, "nfe": 4.0}),
        candidate(1, {"fid": 2.0, "precision": 0.6, "nfe": 4.0}),  # dominates 0
        candidate(2, {"fid": 3.0, "precision": 0.9, "nfe": 4.0}),
        candidate(3, {"fid": 4.0, "precision": 0.1, "nfe": 3.0}),
        candidate(4, {"fid": 3.5, "precision": 0.8, "nfe": 4.0}),  # dominated by 2
    )
    assert on_front(study) == {1, 2, 3}
    assert points(study)[2]["values"]["precision"]["search"] == 0.9


def test_one_objective_has_one_best_point():
    study = study_of(["fid"], *[candidate(k, {"fid": v}) for k, v in enumerate((3.0, 1.0, 2.0))])
    assert on_front(study) == {1}
    assert [c.id for c in selection(study)] == [0, 1, 2]
    declared = study_of(["nfe"], *[candidate(k, {"nfe": float(k + 2)}) for k in range(3)])
    assert on_front(declared) == {0}


def test_infeasible_only_and_nothing_at_all():
    for study in (
        study_of(["fid", "nfe"], candidate(0, None, reason="x"), candidate(1, None)),
        study_of(["fid", "nfe"]),
    ):
        table = Front.of(study).to_dict()
        assert table["points"] == table["baselines"] == []
        assert table["hypervolume"] == {"search": None, "validated": None}
        assert selection(study) == []
        assert front_entries(Front.of(study)) == ()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30
    ),
    columns=st.integers(1, 3),
)
def test_non_dominated_is_its_definition(rows, columns):
    values = np.array(rows, dtype=float)[:, :columns]
    slow = [
        i for i, a in enumerate(values) if not any((b <= a).all() and (b < a).any() for b in values)
    ]
    assert non_dominated(values) == slow


# -- validation --------------------------------------------------------------------------------


def test_validation_decides_again_and_names_who_overtook():
    study = study_of(
        ["fid", "nfe"],
        *FOUR,
        validation(0, {"fid": 8.0, "nfe": 2.0}),
        validation(1, {"fid": 1.5, "nfe": 4.0}),
        validation(2, {"fid": 1.8, "nfe": 4.0}),  # fell behind 1
        validation(3, {"fid": 9.0, "nfe": 3.0}),  # fell behind 0
        validation(4, {"fid": 4.0, "nfe": 4.0}),
    )
    found = points(study)
    assert {k for k, p in found.items() if p["on_front"]} == {0, 1}
    assert found[2]["overtaken_by"] == 1
    assert found[3]["overtaken_by"] == 0
    assert found[2]["values"]["fid"]["search"] == 1.0
    assert found[2]["values"]["fid"]["validated"] == 1.8
    expected = Estimate(1.8, (1.8, 1.8 * 1.1)).interval()
    assert found[2]["values"]["fid"]["ci"] == pytest.approx(expected)
    assert found[2]["values"]["nfe"]["ci"] == [4.0, 4.0]
    table = Front.of(study).to_dict()
    assert table["samples"]["validated"] == 800
    assert {b["id"] for b in table["baselines"]} == {0, 1}


def test_the_overtaker_is_itself_on_the_front():
    study = study_of(
        ["fid", "nfe"],
        *FOUR,
        validation(0, {"fid": 1.9, "nfe": 2.0}),
        validation(1, {"fid": 2.0, "nfe": 4.0}),
        validation(2, {"fid": 2.1, "nfe": 4.0}),
        validation(3, {"fid": 2.0, "nfe": 3.0}),
        validation(4, {"fid": 2.2, "nfe": 4.0}),
    )
    found = points(study)
    assert {k for k, p in found.items() if p["on_front"]} == {0}
    assert {p["overtaken_by"] for k, p in found.items() if k != 0} == {0}


def test_a_validation_that_is_not_complete_decides_nothing():
    begun = [validation(2, {"fid": 100.0, "nfe": 4.0}), validation(0, {"fid": 8.0, "nfe": 2.0})]
    study = study_of(["fid", "nfe"], *FOUR, *begun)
    assert on_front(study) == {0, 2, 3}
    assert Front.of(study).to_dict()["samples"]["validated"] is None
    done = [validation(k, {"fid": 5.0, "nfe": 4.0}) for k in (1, 3, 4)]
    assert on_front(study_of(["fid", "nfe"], *FOUR, *begun, *done)) == {0, 1, 3, 4}


def test_the_latest_complete_validation_counts():
    first = [validation(k, {"fid": 5.0 + k, "nfe": 4.0}) for k in range(5)]
    second = [validation(k, {"fid": 9.0 - k, "nfe": 4.0}, seed=1) for k in range(5)]
    third = [validation(0, {"fid": 0.0, "nfe": 4.0}, seed=2)]
    assert on_front(study_of(["fid", "nfe"], *FOUR, *first)) == {0}
    assert on_front(study_of(["fid", "nfe"], *FOUR, *first, *second, *third)) == {4}
    again = first[:1]
    assert on_front(study_of(["fid", "nfe"], *FOUR, *first, *second, *again)) == {0}


def test_what_could_not_be_validated_falls_off():
    rows = [validation(k, {"fid": 9.0 - k, "nfe": 4.0}) for k in (0, 1, 3, 4)]
    study = study_of(["fid", "nfe"], *FOUR, *rows, validation(2, {}))
    found = points(study)
    assert not found[2]["on_front"]
    assert found[2]["overtaken_by"] is None
    assert found[2]["values"]["fid"]["validated"] is None
    assert on_front(study) == {4}


def test_reported_values_stand_beside_the_objectives():
    rows = [validation(k, {"fid": 9.0 - k, "fid_plain": 3.0, "nfe": 4.0}) for k in range(5)]
    values = points(study_of(["fid", "nfe"], *FOUR, *rows))[4]["values"]
    assert values["fid_plain"] == {
        "search": None,
        "validated": 3.0,
        "ci": pytest.approx(list(Estimate(3.0, (3.0, 3.3)).interval())),
    }


# -- selection ---------------------------------------------------------------------------------


def test_selection_is_the_front_two_more_and_the_best_baseline_of_each_cost():
    records = [candidate(k, {"fid": 10.0 + k, "nfe": 4.0}, name=f"b{k}@4") for k in range(5)]
    records += [candidate(5 + k, {"fid": 1.0 + k, "nfe": 4.0}) for k in range(5)]
    records += [candidate(10 + k, {"fid": 12.0 + k, "nfe": 3.0}) for k in range(5)]
    records += [candidate(15, None, reason="non-finite"), candidate(16, None)]
    chosen = {c.id for c in selection(study_of(["fid", "nfe"], *records))}
    assert chosen == {5, 6, 7, 0, 10, 11, 12}


def baseline_record(number: int, kid: float, *fid: float) -> list[dict[str, Any]]:
    """A baseline at one cost, by the pseudo-values of its FID."""
    mean = sum(fid) / len(fid)
    records = candidate(number, {"fid": mean, "kid": kid, "nfe": 4.0}, name=f"b{number}@4")
    records[1]["values"]["fid"]["pseudo"] = list(fid)
    return records


def validated(objectives: Sequence[str], *records: Any) -> set[int]:
    """Which baselines are validated beside three search candidates that are better than all."""
    numbers = range(len(records), len(records) + 3)
    better = [candidate(k, {"fid": k / 100, "kid": k / 100, "nfe": 4.0}) for k in numbers]
    chosen = {c.id for c in selection(study_of(objectives, *records, *better))}
    assert chosen >= set(numbers)
    return chosen - set(numbers)


def test_of_baselines_at_most_three_that_the_samples_cannot_tell_apart():
    alike = [
        baseline_record(0, 5.0, 1.0, 1.2, 1.1),
        baseline_record(1, 5.0, 1.3, 1.0, 1.3),  # sometimes better than the best
        baseline_record(2, 5.0, 2.0, 2.2, 2.1),  # always worse
        baseline_record(3, 5.0, 1.0, 1.4, 1.3),
        baseline_record(4, 5.0, 1.2, 1.1, 1.5),
    ]
    assert validated(["fid", "nfe"], *alike) == {0, 1, 3}
    assert validated(["fid", "nfe"], *alike[:3]) == {0, 1}
    # Worse by one measure alone is not worse.
    assert validated(["fid", "kid", "nfe"], *alike[:3]) == {0, 1, 2}
    better = baseline_record(1, 4.0, 3.0, 3.1, 2.9)
    assert validated(["kid", "nfe"], alike[0], better) == {1}


def test_selection_ranks_by_all_measured_objectives():
    study = study_of(
        ["fid", "kid", "nfe"],
        candidate(0, {"fid": 1.0, "kid": 9.0, "nfe": 4.0}),
        candidate(1, {"fid": 2.0, "kid": 9.5, "nfe": 4.0}),  # rank 2
        candidate(2, {"fid": 3.0, "kid": 1.0, "nfe": 4.0}),
        candidate(3, {"fid": 2.5, "kid": 9.7, "nfe": 4.0}),  # rank 3
        candidate(4, {"fid": 5.0, "kid": 2.0, "nfe": 4.0}),  # rank 2
        candidate(5, {"fid": 6.0, "kid": 3.0, "nfe": 4.0}),  # rank 3
    )
    assert {c.id for c in selection(study)} == {0, 2, 1, 4}


def cost_groups(study: Study) -> list[int]:
    return Ranking.of(study.feasible, objectives_of(study)).cost_groups().tolist()


def test_many_costs_are_put_into_bins():
    study = study_of(
        ["fid", "macs"],
        *[candidate(k, {"fid": 1.0 + k, "macs": float(10 + k)}) for k in range(50)],
    )
    groups = cost_groups(study)
    assert groups == sorted(groups)
    assert len(set(groups)) == 10
    zero = study_of(
        ["fid", "memory"],
        *[candidate(k, {"fid": 1.0 + k, "memory": float(k)}) for k in range(50)],
    )
    assert len(set(cost_groups(zero))) == 10
    alone = study_of(["fid"], *[candidate(k, {"fid": 1.0}) for k in range(3)])
    assert cost_groups(alone) == [0, 0, 0]


# -- where a front ends ------------------------------------------------------------------------


def test_points_worse_than_every_named_baseline_are_folded_and_not_validated():
    far = [candidate(5 + k, {"fid": 484.0 + k, "nfe": 1.0 - k / 10}) for k in range(3)]
    study = study_of(["fid", "nfe"], *FOUR, *far)
    front = Front.of(study)
    # Each of the three is cheaper than all others, and worse than ddim@2.
    assert [point.id for point in front.folded] == [5, 6, 7]
    assert [point.id for point in front.front] == [0, 3, 2]
    assert not {5, 6, 7} & {point.id for point in front.shown}
    assert not {5, 6, 7} & {c.id for c in selection(study)}
    assert front.folded_below == ("ddim@2",)
    listed = points(study)
    assert [listed[k]["folded"] for k in (5, 6, 7)] == [True] * 3
    assert [listed[k]["on_front"] for k in (5, 6, 7)] == [False] * 3
    assert not any(listed[k]["folded"] for k in (0, 2, 3))
    assert "3 more, worse than ddim@2" in front_text(front).splitlines()
    assert front.to_dict()["folded"] == {"count": 3, "below": ["ddim@2"]}
    assert Front.of(study).knee.id not in {5, 6, 7}
    with pytest.raises(UserError, match="--pick 6: worse than ddim@2; pick another"):
        pick(front, "6")
    # They stay folded once the rest is validated.
    rows = [validation(k, {"fid": 5.0, "nfe": 4.0}) for k in range(5)]
    after = Front.of(study_of(["fid", "nfe"], *FOUR, *far, *rows))
    assert [point.id for point in after.folded] == [5, 6, 7]
    assert [point.id for point in after.front] == [0, 1, 2, 3, 4]


def test_what_is_better_in_one_measured_objective_is_not_folded():
    named = [
        candidate(0, {"fid": 4.0, "precision": 0.5, "nfe": 4.0}, name="ddim@4"),
        candidate(1, {"fid": 2.0, "precision": 0.3, "nfe": 4.0}, name="euler@4"),
    ]
    front = Front.of(
        study_of(
            ["fid", "precision", "nfe"],
            *named,
            candidate(2, {"fid": 9.0, "precision": 0.4, "nfe": 3.0}),  # more precise than euler@4
            candidate(3, {"fid": 9.5, "precision": 0.2, "nfe": 2.0}),  # worse than both in both
            candidate(4, {"fid": 3.5, "precision": 0.1, "nfe": 2.0}),  # a lower fid than ddim@4
        )
    )
    assert [point.id for point in front.folded] == [3]
    assert front.folded_below == ("ddim@4", "euler@4")
    assert {2, 4} <= {point.id for point in front.front}


def test_without_named_baselines_or_measured_objectives_nothing_is_folded():
    alone = [candidate(k, {"fid": 9.0 - k, "nfe": 2.0 + k}) for k in range(3)]
    assert Front.of(study_of(["fid", "nfe"], *alone)).folded == []
    named = candidate(0, {"nfe": 2.0}, name="ddim@2")
    assert Front.of(study_of(["nfe"], named, candidate(1, {"nfe": 3.0}))).folded == []


def test_each_point_has_its_paired_difference_to_the_best_baseline_at_its_cost():
    study = study_of(["fid", "nfe"], *FOUR)
    front = Front.of(study)
    versus = points(study)[2]["versus"]
    difference, interval = compare(
        study.candidates[2].values["fid"], study.candidates[1].values["fid"]
    )
    assert versus == {
        "baseline": "ddim@4",
        "objective": "fid",
        "difference": difference,
        "ci": list(interval),
    }
    # At a cost without baselines, the nearest; of a baseline, the best other one.
    assert points(study)[3]["versus"]["baseline"] == "ddim@2"
    assert points(study)[0]["versus"]["baseline"] == "ddim@4"
    assert front.is_best_baseline(front.front[0]) is True
    assert front.is_best_baseline(front.front[1]) is False
    # On fresh noise, from the values there.
    rows = [validation(k, {"fid": 5.0 - k, "nfe": 4.0}) for k in range(5)]
    fresh = points(study_of(["fid", "nfe"], *FOUR, *rows))[2]["versus"]
    assert (fresh["baseline"], fresh["difference"]) == ("ddim@4", -1.0)
    # Where each candidate has its own noise, a difference has no paired interval.
    unpaired = study_of(["fid", "nfe"], *FOUR, noise="fresh")
    assert points(unpaired)[2]["versus"]["ci"] is None


def test_the_knee_is_marked_once_in_table_and_data():
    study = study_of(["fid", "nfe"], *FOUR)
    front = Front.of(study)
    marked = [number for number, point in points(study).items() if point["knee"]]
    assert marked == [front.knee.id]
    rows = [line for line in front_text(front).splitlines() if " * " in line]
    assert len(rows) == 1
    assert front.knee.name in rows[0]


def test_a_long_front_shows_its_ends_its_knee_and_an_even_spread():
    named = [candidate(0, {"fid": 900.0, "nfe": 2.0}, name="ddim@2")]
    long = [candidate(k, {"fid": 800.0 / k, "nfe": 2.0 + k}) for k in range(1, 41)]
    front = Front.of(study_of(["fid", "nfe"], *named, *long))
    assert len(front.front) == 41
    shown = front.spread(12)
    assert len(shown) == 12
    assert shown == front.ordered(shown)
    assert {front.front[0].id, front.front[-1].id, front.knee.id} <= {p.id for p in shown}
    # No two neighbours are farther apart in log cost than a third of the whole.
    costs = np.log([point.value("nfe") for point in shown])
    assert np.diff(costs).max() < (costs[-1] - costs[0]) / 3
    assert front.spread(41) == front.spread(100) == front.front
    text = front_text(front)
    assert "29 more on the front: autosearch front DIR --all" in text
    whole = front_text(front, most=None)
    assert "more on the front" not in whole
    assert len(whole.splitlines()) == len(text.splitlines()) + 29 - 1


def test_a_front_of_many_points_of_one_cost_shows_the_better_ones():
    flat = [candidate(k, {"fid": 1.0 + k, "kid": 30.0 - k, "nfe": 4.0}) for k in range(20)]
    front = Front.of(study_of(["fid", "kid", "nfe"], *flat))
    assert len(front.spread(5)) == 5
    assert [p.id for p in front.spread(5)][:2] == [0, 1]


# -- hypervolume -------------------------------------------------------------------------------

AXES = {
    "fid": {"zero": 1.0, "one": 100.0, "log": True},
    "nfe": {"zero": 2.0, "one": 8.0, "log": True},
}


def volume(*rows: tuple[float, ...], axes: dict[str, Any] = AXES) -> float:
    return hypervolume(
        axes_of(axes), list(axes), np.array(rows, dtype=float).reshape(-1, len(axes))
    )


def test_hypervolume_on_log_axes_in_closed_form():
    assert volume() == 0
    assert volume((1.0, 2.0)) == pytest.approx(1)
    assert volume((10.0, 4.0)) == pytest.approx(0.25)
    # Two boxes that overlap in 0.25 * 0.5: 0.75 * 0.5 + 0.25 * 1 - 0.25 * 0.5.
    assert volume((10**0.5, 4.0), (10**1.5, 2.0)) == pytest.approx(0.75 * 0.5 + 0.25 * 0.5)
    assert volume((1.0, 8.0), (100.0, 2.0), (500.0, 1000.0)) == 0
    # Better than the reference, or cheaper than the cheapest baseline, counts as they do.
    assert volume((0.1, 2.0)) == volume((0.0, 1.0)) == volume((-3.0, 2.0)) == pytest.approx(1)
    assert volume((0.1, 4.0)) == volume((-3.0, 4.0)) == pytest.approx(0.5)


def test_hypervolume_on_linear_axes_and_upwards():
    axes = {
        "kid": {"zero": -1.0, "one": 3.0, "log": False},
        "precision": {"zero": 0.8, "one": 0.2, "log": True},
    }
    assert volume((1.0, 0.4), axes=axes) == pytest.approx(0.5 * math.log(2) / math.log(4))
    assert volume((1.0, 0.1), axes=axes) == 0
    assert volume((1.0, 0.0), axes=axes) == 0


def test_hypervolume_in_three_dimensions():
    axes = {name: {"zero": 0.0, "one": 1.0, "log": False} for name in ("a", "b", "c")}
    assert volume((0.5, 0.5, 0.5), axes=axes) == pytest.approx(0.125)
    assert volume((0.0, 0.5, 0.5), (0.5, 0.0, 0.5), axes=axes) == pytest.approx(0.375)


def reference(**values: float) -> dict[str, Any]:
    return {
        "type": "reference",
        "recipe": "ddim@100",
        "source": "measured",
        "samples": 4000,
        "values": {
            name: {"value": v, "pseudo": [v - 0.02, v + 0.02]} for name, v in values.items()
        },
        "forward_equivalents": 100.0,
        "budgeted": 110.0,
    }


def axes_of(data: Mapping[str, Any]) -> dict[str, ScaleAxis]:
    return {name: ScaleAxis(**axis) for name, axis in data.items()}


def scale_of(
    *records: Any,
    objectives: Sequence[str] = ("fid", "nfe"),
    reach: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Any]:
    study = study_of(objectives, *records)
    axes = make_scale(study, objectives_of(study), reach)
    return {name: axis.model_dump(exclude_none=True) for name, axis in axes.items()}


def test_the_scale_runs_from_the_reference_to_ddim_at_the_fewest_steps():
    worse = candidate(5, {"fid": 50.0, "nfe": 2.0}, name="euler@2")
    axes = scale_of(reference(fid=0.5), *FOUR, worse)
    floor = pytest.approx(Estimate(0.5, (0.48, 0.52)).standard_error)
    assert axes["fid"] == {"zero": 0.5, "one": 8.0, "log": True, "floor": floor}
    assert axes["nfe"] == {"zero": 2.0, "one": 4.0, "log": True}
    # Without ddim, or without a reference: the baselines' own ends; search candidates never.
    alone = candidate(0, {"fid": 50.0, "nfe": 2.0}, name="euler@2")
    found = candidate(1, {"fid": 90.0, "nfe": 4.0})
    assert scale_of(reference(fid=0.5), alone, found)["fid"]["one"] == 50.0
    assert scale_of(*FOUR)["fid"] == {"zero": 2.0, "one": 8.0, "log": True}


def test_the_scale_of_a_reference_that_is_perfect_or_worse():
    # A corrected distance of zero or below: its standard error is the honest scale.
    error = Estimate(-0.1, (-0.12, -0.08)).standard_error
    assert scale_of(reference(fid=-0.1), *FOUR)["fid"]["zero"] == pytest.approx(error)
    exact = reference(teacher_mse=0.0)
    exact["values"]["teacher_mse"]["pseudo"] = [0.0, 0.0]
    pair = [
        candidate(0, {"teacher_mse": 0.4, "nfe": 2.0}, name="ddim@2"),
        candidate(1, {"teacher_mse": 0.1, "nfe": 4.0}, name="ddim@4"),
    ]
    axis = scale_of(exact, *pair, objectives=["teacher_mse", "nfe"])["teacher_mse"]
    assert axis == {"zero": pytest.approx(1e-4), "one": 0.4, "log": True}
    worse = scale_of(reference(fid=20.0), *FOUR)["fid"]
    assert (worse["zero"], worse["one"], worse["log"]) == (0.2, 8.0, True)


def test_baselines_that_span_no_axis_leave_room_for_better_points_on_both_sides():
    one = candidate(0, {"fid": 2.0, "nfe": 4.0}, name="ddim@4")
    axes = scale_of(one)
    assert axes["fid"] == {"zero": 0.2, "one": 2.0, "log": True}
    assert axes["nfe"] == {"zero": 0.4, "one": 40.0, "log": True}
    close = candidate(1, {"fid": 1.0, "nfe": 6.0}, name="dpmpp_2m@6")
    axes = scale_of(reference(fid=0.5), one, close)
    assert axes["nfe"] == {"zero": 0.4, "one": 60.0, "log": True}
    # Of useful points, fewer steps or a better value always add.
    grows = [volume((1.9, 5.0), axes=axes)]
    for point in ((1.5, 5.0), (1.5, 3.0), (0.6, 7.0), (0.6, 2.0)):
        grows.append(volume((1.9, 5.0), point, axes=axes))
    assert 0 < grows[0] < grows[1] < grows[2] < grows[4] < 1
    assert grows[3] > grows[0]
    zero = candidate(0, {"fid": 2.0, "memory": 0.0}, name="ddim@4")
    axis = scale_of(zero, objectives=["fid", "memory"])["memory"]
    assert axis == {"zero": -1.0, "one": 1.0, "log": False}


@pytest.mark.parametrize(
    ("costs", "reach", "ends"),
    [
        ((3, 4), None, (0.3, 40)),
        ((3, 4, 5), None, (0.3, 50)),
        ((3, 4, 5), (3, 8), (0.3, 50)),
        ((3, 6), None, (3, 6)),
        ((3, 6), (3, 6), (3, 6)),
        ((3, 6), (2, 6), (0.3, 6)),
        ((3, 6), (3, 20), (3, 60)),
        ((2, 10), (4, 8), (2, 10)),
    ],
)
def test_the_axis_of_a_cost_goes_as_far_as_the_space(costs, reach, ends):
    records = [
        candidate(i, {"fid": 9.0 - i, "nfe": float(cost)}, name=f"ddim@{cost}")
        for i, cost in enumerate(costs)
    ]
    axes = scale_of(reference(fid=0.5), *records, reach={"nfe": reach} if reach else None)
    assert axes["nfe"] == {"zero": pytest.approx(ends[0]), "one": ends[1], "log": True}
    if reach is not None and ends[1] > costs[-1]:
        assert volume((1.0, float(reach[1])), axes=axes) > 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 300), st.floats(-1, 30)), min_size=1, max_size=12))
def test_a_hypervolume_is_never_above_1_and_never_falls(rows):
    grows = [volume(*rows[: i + 1]) for i in range(len(rows))]
    assert all(0 <= value <= 1 for value in grows)
    assert all(b >= a - 1e-12 for a, b in itertools.pairwise(grows))


def test_many_points_of_many_objectives_have_no_hypervolume():
    names = [f"o{i}" for i in range(7)]
    axes = {name: {"zero": 0.0, "one": 1.0, "log": False} for name in names}
    rows = np.random.default_rng(0).random((300, 7))
    rows /= rows.sum(axis=1, keepdims=True)
    assert hypervolume(axes_of(axes), names, rows) is None
    assert 0 < hypervolume(axes_of(axes), names, rows[:40]) < 1
    # Dominated ones do not count, nor does their number where objectives are few.
    assert hypervolume(axes_of(axes), names, np.tile(rows[:40], (50, 1))) is not None
    assert (
        hypervolume(axes_of(axes), names[:3], np.random.default_rng(0).random((5000, 3)))
        is not None
    )


def test_the_scale_of_what_is_maximised():
    pair = [
        candidate(0, {"precision": 0.2, "nfe": 2.0}, name="ddim@2"),
        candidate(1, {"precision": 0.5, "nfe": 4.0}, name="ddim@4"),
    ]
    wanted = ["precision", "nfe"]
    axis = scale_of(reference(precision=0.8), *pair, objectives=wanted)["precision"]
    assert axis == {"zero": 0.8, "one": 0.2, "log": True}
    assert scale_of(*pair, objectives=wanted)["precision"]["zero"] == 0.5
    axis = scale_of(pair[0], objectives=wanted)["precision"]
    assert axis == {"zero": 2.0, "one": 0.2, "log": True}


def test_the_table_has_hypervolumes_on_the_study_s_own_axes():
    scale = {"type": "scale", "axes": AXES}
    rows = [validation(k, {"fid": 10.0, "nfe": 4.0}) for k in range(5)]
    table = Front.of(study_of(["fid", "nfe"], *FOUR, scale, *rows)).to_dict()
    best = [(8.0, 2.0), (3.0, 3.0), (1.0, 4.0)]
    assert table["hypervolume"]["search"] == pytest.approx(volume(*best))
    assert table["hypervolume"]["validated"] == pytest.approx(0.25)


# -- the table ---------------------------------------------------------------------------------


def test_the_keys_of_the_table():
    study = study_of(
        ["fid", "nfe"],
        reference(fid=0.5),
        *FOUR,
        candidate(5, None, reason="worker died: killed (4 times)"),
        candidate(6, None, reason="ran for longer than 4 s (2 times)"),
        candidate(7, None, reason="fid_plain 9 is above 5"),
        candidate(8, None),
        {"type": "phase", "name": "search", "seconds": 2.5},
        {"type": "stop", "reason": "budget"},
    )
    table = json.loads(json.dumps(Front.of(study).to_dict(), allow_nan=False))
    assert {"study", "model", "objectives", "reference", "hypervolume"} <= set(table)
    assert {"points", "baselines", "cost"} <= set(table)
    assert (table["study"], table["model"], table["stopped"]) == ("hand-made", "mixture", "budget")
    assert table["objectives"] == [
        {"name": "fid", "direction": "minimize", "unit": "FID"},
        {"name": "nfe", "direction": "minimize", "unit": "network evaluations"},
    ]
    assert set(table["hypervolume"]) == {"search", "validated"}
    for point in table["points"] + table["baselines"]:
        assert set(point) >= {"id", "recipe", "baseline", "on_front", "overtaken_by", "values"}
        assert set(point["values"]["fid"]) == {"search", "validated", "ci"}
        assert point["recipe"]["version"] == 1
    assert table["cost"] == {
        "candidates": 8,
        "duplicates_avoided": 9,
        "forward_equivalents": 100.0 + 8 * 9.0,
        "forward_equivalents_nominal": 110.0 + 9 * 10.0,
        "cuts": 0,
        "failed": 2,
        "infeasible": 1,
        "seconds_proposing": 0.0,
        "phases": {"search": 2.5},
    }
    assert sum(table["reasons"].values()) == 3
    assert table["missing"] == [
        "2 of 9 candidates were not evaluated (worker died: killed (4 times))"
    ]
    assert table["reference"]["recipe"] == "ddim@100"
    assert table["reference"]["values"]["fid"]["value"] == 0.5
    low, high = table["reference"]["values"]["fid"]["ci"]
    assert low < 0.5 < high
    assert study.planned == 110.0 + 9 * 10.0


def test_the_best_of_a_cost_is_listed_also_where_a_cheaper_one_is_better():
    study = study_of(
        ["fid", "nfe"],
        candidate(0, {"fid": 1.0, "nfe": 2.0}),
        candidate(1, {"fid": 2.0, "nfe": 3.0}),
        candidate(2, {"fid": 3.0, "nfe": 3.0}),
    )
    found = points(study)
    assert set(found) == {0, 1}
    assert (found[1]["on_front"], found[1]["overtaken_by"]) == (False, 0)


def test_progress_shows_the_front_and_the_best_baseline_of_each_cost():
    study = study_of(["fid", "nfe"], *FOUR)
    assert front_entries(Front.of(study)) == (
        (2.0, 8.0, "ddim@2", True),
        (3.0, 3.0, "3", False),
        (4.0, 1.0, "2", False),
        (4.0, 2.0, "ddim@4", True),
    )
