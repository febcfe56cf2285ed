"""Solver choices: names resolved, and what has no effect removed."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.diffusion.plan.solver import compile_updates, looks_back_at_start
from autosearch.diffusion.solvers import FIRST_ORDER, USUAL_FORMS, Corrector, Update
from autosearch.recipe import Step

LOG_SNRS = (-1.0, -0.4, 0.1, 0.7, 1.2, 2.0, 2.5)
Compiled = list[tuple[Update, Corrector | None]]

RELAXED = {"form": "taylor", "relaxation": {"kind": "linear", "coefficient": 0.2}}


def compiled(*steps: dict[str, Any], log_snrs: tuple[float, ...] = LOG_SNRS) -> Compiled:
    """Through the first log-SNRs, all finite unless given."""
    made = [Step.model_validate({"time": 1.0, **step}) for step in steps]
    return compile_updates(made, log_snrs[: len(made) + 1])


def last(*steps: dict[str, Any], **options: Any) -> Update:
    return compiled(*steps, **options)[-1][0]


def to_clean(*steps: dict[str, Any]) -> Compiled:
    return compiled(*steps, log_snrs=(*LOG_SNRS[: len(steps)], math.inf))


# -- orders ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", USUAL_FORMS)
def test_order_is_cut_to_the_history(form: str) -> None:
    order = 3 if form == "dpmsolver" else 4
    found = compiled(*[{"order": order, "form": form}] * 6)
    assert [update.order for update, _ in found] == [min(i + 1, order) for i in range(6)]
    low = compiled(*[{"order": min(i + 1, order), "form": form} for i in range(6)])
    assert found == low


def test_a_step_to_an_infinite_end_is_plain_ddim() -> None:
    for choices in ({"form": "deis_t"}, RELAXED, {"prediction": "noise"}, {"start_point": -2}):
        assert to_clean({}, {}, {"order": 3, **choices})[-1] == (FIRST_ORDER, None)


FROM_NOISE = (-math.inf, *LOG_SNRS)


@pytest.mark.parametrize("form", [*USUAL_FORMS, "velocity"])
def test_pure_noise_is_history(form: str) -> None:
    found = compiled(*[{"order": 3, "form": form}] * 4, log_snrs=FROM_NOISE)
    assert [update.order for update, _ in found] == [1, 2, 3, 3]
    assert found[0] == (FIRST_ORDER, None)
    assert found == compiled(*[{"order": 3, "form": form}] * 4)
    assert looks_back_at_start(found) == (form != "velocity")


def test_what_looks_back_at_pure_noise() -> None:
    """DDIM from there needs no level, nor do weights that are given."""
    plain = compiled({}, {"start_point": -2}, {}, log_snrs=FROM_NOISE)
    assert plain[1] == (Update(start=-2), None)
    assert not looks_back_at_start(plain)
    given = {"form": "linear", "weights": [0.5, 0.2, 0.3]}
    assert not looks_back_at_start(compiled({}, given, {}, log_snrs=FROM_NOISE))
    assert looks_back_at_start(compiled({}, {"order": 2}, log_snrs=FROM_NOISE))
    assert looks_back_at_start(compiled({"corrector": "pseudo"}, {}, log_snrs=FROM_NOISE))
    later = {"order": 2, "form": "taylor", "points": [[-3]]}
    assert looks_back_at_start(compiled({}, {}, later, log_snrs=FROM_NOISE))
    assert not looks_back_at_start(compiled({}, {}, {"order": 2}, log_snrs=FROM_NOISE))


@pytest.mark.parametrize(
    ("choices", "starts"),
    [
        ({"form": "taylor"}, True),
        ({"form": "dpmsolver"}, True),
        ({"form": "unipc_bh2"}, True),
        ({"form": "velocity"}, True),
        ({"form": "taylor", "relaxation": {"kind": "exp", "coefficient": 0.5}}, True),
        (RELAXED, False),
        ({"form": "unipc_bh1"}, False),
        ({"form": "deis"}, False),
        ({"form": "deis_t"}, False),
        ({"form": "deis_rho"}, False),
        ({"form": "taylor", "prediction": "noise"}, False),
        ({"form": "unipc_bh2", "prediction": "noise"}, False),
        ({"form": "v3"}, False),
    ],
)
def test_above_order_1_steps_start_at_pure_noise_where_they_have_a_limit(
    choices: dict[str, Any], starts: bool
) -> None:
    restart = {"order": 2, "start_point": -2, **choices}
    multistep = compiled({}, {"order": 2, **choices}, log_snrs=FROM_NOISE)
    found = compiled({}, restart, log_snrs=FROM_NOISE)
    assert (found[1][0].start == -2) == starts
    assert starts or found == multistep
    said = {"kind": "implicit", **choices}
    if choices["form"] != "dpmsolver":
        corrected = compiled({"corrector": said}, {}, log_snrs=FROM_NOISE)
        assert (corrected[0][1] is not None) == starts
    if choices["form"] == "v3":
        assert found[1] == (Update(form="v3"), None)
    # Where the newest state is already there, it is DDIM that goes again.
    again = compiled({}, restart, {}, log_snrs=(-math.inf, 0.1, 0.1, 0.7))
    assert again[1][0] == (found[1][0] if starts else Update(start=-2))


def test_polynomials_of_the_velocity() -> None:
    steps = [{"order": 3, "form": "velocity", "corrector": "pseudo"}] * 4
    found = compiled(*steps)
    assert found[2] == (
        Update(3, "velocity", "velocity", -1, ((-3, -2),)),
        Corrector("pseudo", Update(4, "velocity", "velocity", -1, ((-3, -2, 0),))),
    )
    assert compiled(*({**step, "prediction": "noise"} for step in steps)) == found
    # After a pseudo corrector the prediction decides at order 1 too.
    moved = compiled({"corrector": "pseudo"}, {"form": "velocity"}, {})
    assert moved[1][0] == Update(1, "velocity", "velocity")
    assert last({}, {"form": "velocity"}) == FIRST_ORDER
    assert to_clean({}, {"order": 2, "form": "velocity"})[-1] == (FIRST_ORDER, None)
    # It has no stochastic version.
    noisy = compiled({"eta": 0.5, "corrector": {"kind": "pseudo", "form": "velocity"}}, {})[0][1]
    assert noisy is not None
    assert noisy.update.form == "taylor"


@pytest.mark.parametrize(
    "choices",
    [
        {"prediction": "noise"},
        {"form": "taylor"},
        RELAXED,
        {"form": "deis_t"},
        {"form": "deis_rho", "prediction": "noise"},
        {"form": "unipc_bh1", "prediction": "noise"},
        {"points": [[-2]]},
        {"start_point": -3},
    ],
)
def test_solver_choices_at_order_1_are_inert(choices: dict[str, Any]) -> None:
    plain = to_clean({}, {}, {})
    # Order 2 is cut to 1 on the first and on the last step, and the choices go with it.
    ends = to_clean({"order": 2, **choices}, {}, {"order": 2, **choices})
    assert ends == plain
    if choices.get("start_point") is None:
        assert to_clean(choices, choices, choices) == plain
    middle = {"order": 2, **choices}
    assert to_clean({}, {}, middle, {}) != to_clean({}, {}, {}, {})


# -- names -----------------------------------------------------------------------------------


def test_names_at_order_2() -> None:
    found = {
        name: last({}, {}, {"order": 2, "form": name, "prediction": "noise"})
        for name in USUAL_FORMS
    }
    relaxed = Update(2, "noise", "taylor", -1, ((-2,),), ("unipc_bh2", 0.0))
    assert found["dpmsolver"] == found["unipc_bh2"] == relaxed
    assert found["unipc_bh1"] == Update(2, "noise", "taylor", -1, ((-2,),), ("unipc_bh1", 0.0))
    assert found["taylor"] == found["deis"] == Update(2, "noise", "taylor", -1, ((-2,),))
    assert found["deis_t"] == Update(2, "noise", "deis_t", -1, ((-2,),))
    assert found["deis_rho"] == Update(2, "noise", "deis_rho", -1, ((-2,),))


def test_names_at_order_3() -> None:
    found = {name: last({}, {}, {"order": 3, "form": name}) for name in USUAL_FORMS}
    exact = Update(3, "data", "taylor", -1, ((-3, -2), (-3, -2)))
    assert found["taylor"] == found["unipc_bh1"] == found["unipc_bh2"] == exact
    assert found["dpmsolver"] == Update(3, "data", "dpmsolver", -1, ((-3, -2), (-3, -2)))
    assert found["deis"] == Update(3, "noise", "taylor", -1, ((-3, -2), (-3, -2)))
    assert found["deis_t"] == Update(3, "noise", "deis_t", -1, ((-3, -2),))


def test_singlestep_dpmsolver_of_order_3_has_one_difference() -> None:
    run = [{}, {"order": 2, "start_point": -2}]
    found = last(*run, {"order": 3, "start_point": -3})
    assert found == Update(2, "data", "taylor", -3, ((-1,),))
    exact = last(*run, {"order": 3, "start_point": -3, "form": "taylor"})
    assert exact == Update(3, "data", "taylor", -3, ((-2, -1), (-2, -1)))
    spelled = last(*run, {"order": 3, "start_point": -3, "points": [[-2, -1], [-2, -1]]})
    assert spelled.form == "dpmsolver"


@pytest.mark.parametrize("form", ["deis", "deis_t", "deis_rho"])
def test_deis_is_in_noise_prediction_whatever_is_said(form: str) -> None:
    for order in (1, 2, 3, 4):
        choices = {"order": order, "form": form}
        assert compiled(*[choices] * 5) == compiled(*[{**choices, "prediction": "noise"}] * 5)


def test_relaxations_without_effect() -> None:
    plain = compiled({}, {"order": 2, "form": "taylor"})
    for kind in ("linear", "exp"):
        none = {"order": 2, "form": "taylor", "relaxation": {"kind": kind, "coefficient": 0.0}}
        assert compiled({}, none) == plain
        some = {"order": 2, "form": "taylor", "relaxation": {"kind": kind, "coefficient": 0.1}}
        assert compiled({}, some) != plain


# -- start points and points -----------------------------------------------------------------


def test_start_points_beyond_the_history_are_the_newest() -> None:
    for start in (-3, -4, -6):
        choices = {"order": 2, "form": "taylor", "start_point": start}
        assert last({}, choices) == last({}, {"order": 2, "form": "taylor"})
    assert last({}, {"start_point": -2}) == Update(start=-2)


def test_points_by_default_are_the_nearest_newer_ones_first() -> None:
    before: list[dict[str, Any]] = [{}] * 4
    assert last(*before, {"order": 3, "form": "taylor"}).points == ((-3, -2), (-3, -2))
    restart = {"order": 4, "form": "taylor", "start_point": -2}
    assert last(*before, restart).points == ((-4, -3, -1),) * 3
    restart = {"order": 3, "form": "taylor", "start_point": -4}
    assert last(*before, restart).points == ((-3, -2), (-3, -2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([[-2, -3], [-3, -2]], None),
        ([[-2, -3, -3]], None),
        ([[-3, -2]], [[-2, -3], [-2, -3], [-4]]),  # more lists than derivatives
        ([[-2, -1, -3]], None),  # the start's own
        ([[-2, -3, -6]], None),  # never evaluated
        ([], None),
    ],
)
def test_points_spelled_otherwise(one: list[list[int]], other: list[list[int]] | None) -> None:
    choices = {"order": 3, "form": "taylor"}
    plans = [compiled({}, {}, {}, {**choices, "points": points}) for points in (one, other)]
    assert plans[0] == plans[1]


def test_missing_points_lower_the_order() -> None:
    before: list[dict[str, Any]] = [{}] * 3
    choices = {"order": 3, "form": "taylor"}
    # Nothing for the first derivative; one for the second, which needs two.
    assert last(*before, {**choices, "points": [[-5]]}) == FIRST_ORDER
    found = last(*before, {**choices, "points": [[-3], [-2, -6]]})
    assert found == last(*before, {"order": 2, "form": "taylor", "points": [[-3]]})
    deis = {"order": 3, "form": "deis_t", "points": [[-2]]}
    assert last(*before, deis) == last(*before, {"order": 2, "form": "deis_t"})


# -- correctors ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pseudo", "implicit"])
def test_correctors_without_effect(kind: str) -> None:
    corrected = {"corrector": kind}
    assert compiled({}, corrected) == compiled({}, {})  # on the last step
    assert to_clean({}, corrected) == to_clean({}, {})
    assert compiled(corrected, {}) != compiled({}, {})
    again = {"order": 2, "start_point": -2}
    levels = (-0.4, 0.1, 0.1, 0.7)
    nowhere = {**again, "corrector": {"kind": kind, "start_point": -1}}  # ends where it starts
    assert compiled({}, nowhere, {}, log_snrs=levels) == compiled({}, again, {}, log_snrs=levels)


def test_correctors_are_one_order_higher_and_of_the_steps_form() -> None:
    steps = [{"order": 2, "corrector": "pseudo"}] * 3
    for form, kept in (
        ("dpmsolver", "taylor"),
        ("taylor", "taylor"),
        ("unipc_bh2", "taylor"),
        ("deis", "taylor"),
        ("deis_t", "deis_t"),
        ("deis_rho", "deis_rho"),
    ):
        found = compiled(*({**step, "form": form} for step in steps))
        first, second = (corrector.update for _, corrector in found[:2] if corrector)
        assert (first.order, second.order) == (2, 3)
        assert first.points == ((0,),)
        assert second.points[0] == (-2, 0)
        assert (first.form, second.form) == (kept, kept)
        assert first.relaxation == (("unipc_bh2", 0.0) if form == "unipc_bh2" else None)
        assert second.relaxation is None
        said = "noise" if form.startswith("deis") else "data"
        assert (first.prediction, second.prediction) == (said, said)


def test_correctors_by_name_and_spelled_out_are_one() -> None:
    common = {"order": 2, "prediction": "noise", "form": "unipc_bh1", "start_point": -2}
    spelled = {
        "kind": "implicit",
        "order": 3,
        "prediction": "noise",
        "form": "unipc_bh1",
        "start_point": -2,
        "points": [[0, -1], [-1, 0]],
    }
    assert compiled({}, {**common, "corrector": "implicit"}, {}) == compiled(
        {}, {**common, "corrector": spelled}, {}
    )


def test_correctors_have_choices_of_their_own() -> None:
    corrector = {
        "kind": "pseudo",
        "order": 2,
        "prediction": "noise",
        "form": "taylor",
        "points": [[-2]],
        "relaxation": {"kind": "exp", "coefficient": 0.5},
    }
    found = compiled({}, {"order": 1, "corrector": corrector}, {})[1]
    assert found == (
        FIRST_ORDER,
        Corrector("pseudo", Update(2, "noise", "taylor", -1, ((-2,),), ("exp", 0.5))),
    )


def test_polynomials_in_time_and_rho_are_the_expansion_on_stochastic_steps() -> None:
    """Whose noise they have no place for."""
    for form in ("deis_t", "deis_rho"):
        corrector = {"kind": "implicit", "order": 2, "prediction": "noise", "form": form}
        _, found = compiled({"eta": 0.5, "corrector": corrector}, {})[0]
        assert found is not None
        assert found.update.form == "taylor"
        _, found = compiled({"eta": 0.5, "form": form, "corrector": "pseudo"}, {})[0]
        assert found is not None
        assert found.update.form == "taylor"


def test_after_a_pseudo_corrector_the_prediction_decides_at_order_1() -> None:
    """The kept evaluation is that of another state; an implicit corrector's is not."""
    for kind, differs in (("pseudo", True), ("implicit", False), ("none", False)):
        steps = [
            compiled({"corrector": kind}, {"prediction": said}, {}) for said in ("data", "noise")
        ]
        assert (steps[0] != steps[1]) == differs
        assert compiled({"corrector": kind}, {"form": "deis"}, {}) == steps[1]
    # A restart from an earlier state, which was not corrected.
    restart = {"prediction": "noise", "start_point": -2}
    assert last({}, {"corrector": "pseudo"}, restart) == Update(start=-2)
    assert last({"corrector": "pseudo"}, {}, restart) == Update(prediction="noise", start=-2)


def test_pseudo_correctors_of_states_that_no_step_starts_from_are_inert() -> None:
    restart = {"order": 2, "start_point": -2}
    plain = compiled({}, {}, restart, {"start_point": -3})
    assert compiled({}, {"corrector": "pseudo"}, restart, {"start_point": -3}) == plain
    assert compiled({}, {"corrector": "implicit"}, restart, {"start_point": -3}) != plain
    # To clean data a step takes the evaluation, and nothing of the state.
    assert to_clean({}, {"corrector": "pseudo"}, {}) == to_clean({}, {}, {})
    assert to_clean({}, {"corrector": "implicit"}, {}) != to_clean({}, {}, {})
    # A later step goes back to it, or a corrector does.
    assert compiled({}, {"corrector": "pseudo"}, restart, {"start_point": -2}) != compiled(
        {}, {}, restart, {"start_point": -2}
    )
    back = {"corrector": {"kind": "pseudo", "start_point": -2}, **restart}
    assert compiled({"corrector": "pseudo"}, {}, back, {}) != compiled({}, {}, back, {})


# -- stochastic steps ------------------------------------------------------------------------


def test_predictions_matter_at_order_1_on_stochastic_steps() -> None:
    assert last({"eta": 0.5, "prediction": "noise"}) == Update(prediction="noise")
    assert last({"eta": 0.5, "form": "deis"}) == Update(prediction="noise")
    assert last({"eta": 0.5}) == FIRST_ORDER
    assert to_clean({"eta": 0.5, "prediction": "noise"})[0] == (FIRST_ORDER, None)


# -- all choices -----------------------------------------------------------------------------


@st.composite
def steps(draw: st.DrawFn) -> dict[str, Any]:
    order = draw(st.integers(1, 4))
    form = draw(st.sampled_from(USUAL_FORMS if order < 4 else USUAL_FORMS[1:]))
    past = st.lists(st.lists(st.integers(-6, -1), max_size=3), max_size=3)
    optional = {
        "prediction": st.sampled_from(["noise", "data"]),
        "start_point": st.integers(-6, -1),
        "points": past,
        "corrector": st.sampled_from(["pseudo", "implicit", {"kind": "pseudo", "order": 5}]),
    }
    return {"order": order, "form": form, **draw(st.fixed_dictionaries({}, optional=optional))}


@given(chosen=st.lists(steps(), min_size=1, max_size=6), clean=st.booleans())
@settings(max_examples=150, deadline=None)
def test_only_what_is_there_is_used(chosen: list[dict[str, Any]], clean: bool) -> None:
    found = to_clean(*chosen) if clean else compiled(*chosen)
    for k, (update, corrector) in enumerate(found):
        known = set(range(-k - 1, 0))
        assert set(update.used) <= known
        # A polynomial goes through all the points that it is given.
        polynomial = update.form.startswith("deis_")
        assert polynomial or update.order <= chosen[k]["order"]
        if corrector is not None:
            assert k < len(found) - 1
            assert set(corrector.update.used) <= known | {0}
            assert corrector.update.order > 1
        for each in (update, *([corrector.update] if corrector else [])):
            assert all(points == tuple(sorted(set(points))) for points in each.points)
            assert all(len(points) > i for i, points in enumerate(each.points))
            assert each.form in ("taylor", "dpmsolver", "deis_t", "deis_rho")
