"""What the events of a study amount to."""

import pytest

from autosearch.errors import UserError
from autosearch.study.events import (
    Asked,
    Ended,
    Evaluated,
    Fitted,
    Header,
    PhaseBegun,
    PhaseEnded,
    Spent,
)
from autosearch.study.study import Study

EXPERIMENT = {"model": "mixture", "space": {"timesteps": {}}, "objectives": ["nfe"]}
HEADER = Header(name="s", model_name="mixture", model={}, experiment=EXPERIMENT, overrides=[])


def ask(number: int, *, told: int = 0) -> Asked:
    return Asked(
        id=number,
        kind="search",
        name=None,
        genome={},
        identity=f"plan{number}",
        nominal=10.0,
        duplicates=2,
        told=told,
    )


def result(number: int) -> Evaluated:
    return Evaluated(
        id=number,
        status="infeasible",
        reason="too hot",
        values={},
        samples=100,
        forward_equivalents=7.0,
        seconds=0.5,
    )


def fit(name: str) -> Fitted:
    return Fitted(name=name, recipe={}, reason=None, forward_equivalents=3.0, budgeted=5.0)


def test_costs_add_up() -> None:
    spent = Spent(what="teacher (search)", forward_equivalents=0.0, budgeted=50.0, nominal=80.0)
    study = Study.of([HEADER, fit("a@3"), spent, ask(0), ask(1), result(1), Ended(reason="budget")])
    assert study.spent == 3.0 + 7.0
    assert study.planned == 5.0 + 50.0 + 2 * 10.0
    assert study.nominal_spent == 5.0 + 80.0 + 2 * 10.0
    assert study.duplicates == 4
    assert study.order == [0, 1, ~1]
    assert study.stops == ["budget"]


def test_it_says_what_is_set_up() -> None:
    study = Study.of([HEADER])
    assert study.setup is None
    for event, wanted in (
        (PhaseBegun(name="fits"), "fits, 0 done"),
        (fit("a@3"), "fits, 1 done"),
        (PhaseEnded(name="fits", seconds=1.0), None),
        (PhaseBegun(name="teacher (search)"), "teacher (search)"),
        (PhaseBegun(name="search"), None),
        (ask(0), None),
        (PhaseBegun(name="teacher (validation)"), None),
    ):
        study.apply(event)
        assert study.setup == wanted


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([ask(1)], "line 2: ask: candidate 1 where 0 is due"),
        ([ask(0, told=1)], "line 2: ask: candidate 0 knows 1 results"),
        ([result(0)], "line 2: result: candidate 0 was not asked for"),
        ([ask(0), result(0), result(0)], "line 4: result: candidate 0 has one already"),
    ],
)
def test_events_that_cannot_follow_are_refused_with_their_place(events, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Study.of([HEADER, *events])


def test_candidates_are_replaced_never_changed() -> None:
    study = Study.of([HEADER, ask(0)])
    before = study.candidates[0]
    study.apply(result(0))
    assert before.status == "pending"
    assert study.candidates[0].reason == "too hot"
    with pytest.raises(AttributeError):
        before.status = "ok"
