"""Recipes: exact round trips, canonical numbers, refusals in one line, never a traceback."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autosearch.diffusion.solvers import USUAL_FORMS
from autosearch.errors import UserError
from autosearch.recipe import Recipe, parse_action, round_float
from autosearch.recipe.actions import Action

MINIMAL: dict[str, Any] = {
    "version": 1,
    "model": {"family": "vp", "schedule": "linear", "prediction": "noise"},
    "steps": [{"time": 500}],
}

NAMES = st.text(min_size=1, max_size=8)
LOG_SNRS = st.floats(-50, 50)
ACTIONS = st.sampled_from(["reuse", "skip", *(f"forecast:{m}" for m in range(5))])


PREDICTIONS = st.sampled_from(["noise", "data"])
STARTS = st.integers(-6, -1)
RELAXATIONS = st.builds(
    lambda kind, coefficient: {"kind": kind, "coefficient": coefficient},
    st.sampled_from(["linear", "exp"]),
    st.floats(-10, 10),
) | st.sampled_from([{"kind": "unipc_bh1"}, {"kind": "unipc_bh2"}])


def point_lists(newest: int) -> st.SearchStrategy[list[list[int]]]:
    return st.lists(st.lists(st.integers(-6, newest), max_size=3), max_size=3)


@st.composite
def correctors(draw: st.DrawFn) -> str | dict[str, Any]:
    kind = draw(st.sampled_from(["pseudo", "implicit"]))
    if draw(st.booleans()):
        return kind
    form = draw(st.sampled_from([None, *(form for form in USUAL_FORMS if form != "dpmsolver")]))
    optional = {
        "order": st.integers(2, 5),
        "prediction": PREDICTIONS,
        "start_point": STARTS,
        "points": point_lists(0),
        **({"relaxation": RELAXATIONS} if form == "taylor" else {}),
    }
    return {
        "kind": kind,
        **({"form": form} if form else {}),
        **draw(st.fixed_dictionaries({}, optional=optional)),
    }


@st.composite
def steps(draw: st.DrawFn) -> dict[str, Any]:
    order = draw(st.integers(1, 4))
    form = draw(st.sampled_from([form for form in USUAL_FORMS if order < 4 or form != "dpmsolver"]))
    noisy = order == 1 or form not in ("deis_t", "deis_rho")
    optional = {
        "log_snr": LOG_SNRS,
        "evaluate": st.sampled_from(["network", "zero_x0", "average_x0"]),
        "prediction": PREDICTIONS,
        "start_point": STARTS,
        "points": point_lists(-1),
        "corrector": st.just("none") | correctors(),
        "eta": st.floats(0, 1) if noisy else st.just(0.0),
        "clip": st.floats(1e-3, 1e6),
        "sites": st.dictionaries(NAMES, ACTIONS, max_size=3),
        **({"relaxation": RELAXATIONS} if form == "taylor" else {}),
    }
    chosen = draw(st.fixed_dictionaries({}, optional=optional))
    return {"time": draw(st.floats(-1e6, 1e6)), "order": order, "form": form, **chosen}


@st.composite
def recipes(draw: st.DrawFn) -> dict[str, Any]:
    model = {
        "family": draw(st.sampled_from(["vp", "edm", "flow"])),
        "schedule": draw(NAMES),
        "prediction": draw(st.sampled_from(["noise", "data", "v", "flow"])),
        "weights": draw(st.none() | NAMES),
    }
    return {
        "version": 1,
        "model": model,
        "start": {"scale": draw(st.sampled_from(["unit", "sigma", "scheduler"]))},
        "steps": draw(st.lists(steps(), min_size=1, max_size=4)),
        "end": draw(st.just("clean") | LOG_SNRS),
    }


def leaves(data: Any) -> list[Any]:
    if isinstance(data, dict):
        return [leaf for value in data.values() for leaf in leaves(value)]
    if isinstance(data, list):
        return [leaf for value in data for leaf in leaves(value)]
    return [data]


def refusal(data: object) -> str:
    with pytest.raises(UserError) as caught:
        Recipe.from_dict(data)
    message = str(caught.value)
    assert "\n" not in message
    return message


def with_step(**fields: object) -> dict[str, Any]:
    return {**MINIMAL, "steps": [{"time": 500, **fields}]}


# -- round trips -----------------------------------------------------------------------------


@given(data=recipes())
@settings(max_examples=150, deadline=None)
def test_round_trip_is_exact(data: dict[str, Any]) -> None:
    recipe = Recipe.from_dict(data)
    plain = recipe.to_dict()
    text = json.dumps(plain)
    again = Recipe.from_dict(json.loads(text))
    assert again == recipe
    assert json.dumps(again.to_dict()) == text


@given(data=recipes())
@settings(max_examples=60, deadline=None)
def test_numbers_have_nine_digits_and_whole_ones_no_fraction(data: dict[str, Any]) -> None:
    for leaf in leaves(Recipe.from_dict(data).to_dict()):
        if isinstance(leaf, float):
            assert float(f"{leaf:.9g}") == leaf
            assert not leaf.is_integer() or abs(leaf) >= 2**53
        assert str(leaf) != "-0.0"


@given(data=recipes())
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_save_and_load(data: dict[str, Any], tmp_path: Path) -> None:
    recipe = Recipe.from_dict(data)
    path = tmp_path / "recipe.json"
    recipe.save(path)
    assert Recipe.load(path) == recipe


def test_defaults_are_left_out() -> None:
    spelled = {
        **MINIMAL,
        "model": {**MINIMAL["model"], "weights": None},
        "start": {"scale": "unit"},
        "end": "clean",
        "artifacts": {},
        "steps": [
            {
                "time": 500.0,
                "log_snr": None,
                "evaluate": "network",
                "order": 1,
                "prediction": "data",
                "form": "dpmsolver",
                "start_point": -1,
                "points": None,
                "relaxation": None,
                "corrector": "none",
                "eta": 0.0,
                "clip": None,
                "guidance": None,
                "sites": {},
            }
        ],
    }
    assert Recipe.from_dict(spelled).to_dict() == MINIMAL
    assert Recipe.from_dict(spelled) == Recipe.from_dict(MINIMAL)


@pytest.mark.parametrize(("one", "other"), [(4, 4.0), (4.0, 4.0000000001), (0.0, -0.0)])
def test_equal_values_make_equal_texts(one: float, other: float) -> None:
    texts = [
        json.dumps(Recipe.from_dict(with_step(log_snr=value)).to_dict()) for value in (one, other)
    ]
    assert texts[0] == texts[1]
    assert ".0" not in texts[0]


def test_rounding_comes_before_validation() -> None:
    assert Recipe.from_dict(with_step(eta=1.0000000001)).steps[0].eta == 1
    assert Recipe.from_dict(with_step(order=2.0000000001)).steps[0].order == 2
    assert Recipe.from_dict({**MINIMAL, "version": 1.0}).version == 1


def test_round_float() -> None:
    assert round_float(123.4567890123) == 123.456789
    assert round_float(1.23456789012e-7) == 1.23456789e-7
    assert str(round_float(-0.0)) == "0.0"


def test_the_given_data_stay_untouched() -> None:
    data = with_step(log_snr=0.12345678912345, sites={"a": "reuse"})
    before = copy.deepcopy(data)
    Recipe.from_dict(data)
    assert data == before


# -- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({**MINIMAL, "version": 2}, "recipe: unknown recipe version 2; this release reads 1"),
        ({**MINIMAL, "version": True}, "unknown recipe version True"),
        ({**MINIMAL, "version": "1"}, "unknown recipe version '1'"),
        ({**MINIMAL, "version": [0] * 999}, "unknown recipe version [0, 0, 0"),
        ({k: v for k, v in MINIMAL.items() if k != "version"}, "key 'version' is missing"),
        ({**MINIMAL, "stpes": []}, "unknown key 'stpes'; did you mean 'steps'?"),
        (with_step(tmie=3), "unknown key 'steps[0].tmie'; did you mean 'time'?"),
        ({**MINIMAL, "start": {"scal": "unit"}}, "unknown key 'start.scal'; did you mean 'scale'?"),
        ({**MINIMAL, "start": {"scale": "unti"}}, "start.scale: expected 'unit', 'sigma'"),
        ({**MINIMAL, "model": {"family": "vp"}}, "key 'model.schedule' is missing"),
        ({**MINIMAL, "steps": []}, "steps: expected at least 1 of them, got []"),
        ({**MINIMAL, "steps": [{}]}, "key 'steps[0].time' is missing"),
        ({**MINIMAL, "steps": [3]}, "steps[0]: expected a mapping of keys, got 3"),
        (
            {**MINIMAL, "end": "cleen"},
            "end: write 'clean' or a log-SNR from -50 to 50, not 'cleen'",
        ),
        ({**MINIMAL, "end": 51}, "end: write 'clean' or a log-SNR from -50 to 50, not 51"),
        (with_step(form="tailor"), "steps[0].form: unknown form 'tailor'; did you mean 'taylor'?"),
        (
            with_step(sites={"a": "resue"}),
            "steps[0].sites.a: unknown site action 'resue'; valid: reu",
        ),
        (with_step(eta=1.5), "steps[0].eta: expected at most 1, got 1.5"),
        (with_step(order=5), "steps[0].order: expected at most 4, got 5"),
        (with_step(clip=0), "steps[0].clip: expected more than 0, got 0"),
        (with_step(log_snr=1e9), "steps[0].log_snr: expected at most 50"),
        ([], "recipe: expected a mapping of keys, got list"),
        (None, "recipe: expected a mapping of keys, got NoneType"),
    ],
)
def test_refused_in_one_line(data: object, message: str) -> None:
    assert message in refusal(data)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"evaluate": "mean"}, ".evaluate: expected 'network', 'zero_x0' or 'average_x0'"),
        ({"form": "dies"}, ".form: unknown form 'dies'; did you mean 'deis'?"),
        ({"form": "xyz"}, ".form: unknown form 'xyz'; valid: deis, deis_rho, deis_t"),
        ({"form": 3}, ".form: expected text, got 3"),
        ({"order": 4}, ": form 'dpmsolver' has orders 1 to 3; use form 'taylor' for order 4"),
        (
            {"order": 2, "form": "deis_t", "eta": 0.5},
            ": form 'deis_t' has no stochastic version; set eta to 0",
        ),
        ({"start_point": 0}, ".start_point: expected at most -1, got 0"),
        ({"start_point": -7}, ".start_point: expected at least -6, got -7"),
        ({"points": [[-7]]}, ".points[0][0]: expected at least -6, got -7"),
        ({"points": [[-1], [0]]}, ".points[1][0]: expected at most -1, got 0"),
        ({"points": [-1]}, ".points[0]: expected a list, got -1"),
        ({"relaxation": "linear"}, ".relaxation: expected a mapping of keys, got 'linear'"),
        (
            {"relaxation": {"kind": "linear"}},
            ": form 'dpmsolver' has its own relaxation or none; use form 'taylor'",
        ),
        (
            {"form": "taylor", "relaxation": {"kind": "linaer"}},
            ".relaxation.kind: expected 'linear', 'exp', 'unipc_bh1' or 'unipc_bh2'",
        ),
        (
            {"form": "taylor", "relaxation": {"kind": "linear", "coefficient": 11}},
            ".relaxation.coefficient: expected at most 10, got 11",
        ),
        (
            {"form": "taylor", "relaxation": {"kind": "unipc_bh1", "coefficient": 1}},
            ".relaxation: relaxation 'unipc_bh1' has no coefficient; leave it out",
        ),
    ],
)
def test_solver_choices_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    assert f"steps[0]{message}" in refusal(with_step(**fields))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("psuedo", ": expected 'none', 'pseudo' or 'implicit', got 'psuedo'"),
        (5, ": write 'none', 'pseudo', 'implicit' or a mapping of keys, not 5"),
        (None, ": write 'none', 'pseudo', 'implicit' or a mapping of keys, not None"),
        (["pseudo"], ": write 'none', 'pseudo', 'implicit' or a mapping of keys, not ['pseudo']"),
        ({"kind": "psuedo"}, ".kind: expected 'pseudo' or 'implicit', got 'psuedo'"),
        ({"kind": "pseudo", "order": 1}, ".order: expected at least 2"),
        ({"kind": "pseudo", "order": "2"}, ".order: expected a whole number, got '2'"),
        ({"kind": "pseudo", "form": "tailor"}, ".form: unknown form 'tailor'; did you mean 'tayl"),
        (
            {"kind": "pseudo", "form": "dpmsolver"},
            ": form 'dpmsolver' has no corrector; use form 'unipc_bh2' or 'taylor'",
        ),
        ({"kind": "pseudo", "points": [[1]]}, ".points[0][0]: expected at most"),
        (
            {"kind": "pseudo", "relaxation": 3},
            ".relaxation: expected a mapping of keys, got 3",
        ),
        (
            {"kind": "pseudo", "form": "deis", "relaxation": {"kind": "linear"}},
            ": form 'deis' has its own relaxation or none; use form 'taylor'",
        ),
    ],
)
def test_correctors_refused_in_one_line(value: object, message: str) -> None:
    assert f"steps[0].corrector{message}" in refusal(with_step(corrector=value))


def test_keys_of_correctors_are_named_as_the_user_writes_them() -> None:
    assert "key 'steps[0].corrector.kind' is missing" in refusal(with_step(corrector={}))
    assert refusal(with_step(corrector={"kind": "pseudo", "oder": 2})) == (
        "recipe: unknown key 'steps[0].corrector.oder'; did you mean 'order'?"
    )
    relaxed = {"kind": "pseudo", "form": "taylor", "relaxation": {"kind": "exp", "coeff": 1}}
    assert refusal(with_step(corrector=relaxed)) == (
        "recipe: unknown key 'steps[0].corrector.relaxation.coeff'; did you mean 'coefficient'?"
    )


def test_a_correctors_relaxation_needs_the_taylor_form_that_it_takes_over() -> None:
    corrector = {"kind": "pseudo", "relaxation": {"kind": "linear", "coefficient": 0.1}}
    for form in ("taylor", "dpmsolver"):  # whose correctors are of the taylor form
        Recipe.from_dict(with_step(form=form, corrector=corrector))
    for form in ("unipc_bh1", "deis", "deis_t"):
        message = f"steps[0]: form {form!r} has its own relaxation or none; use form 'taylor'"
        assert message in refusal(with_step(form=form, corrector=corrector))


def test_references_to_artifacts_are_checked() -> None:
    good = {"method": "v3", "key": "0" * 24, "sha256": "a" * 64}
    data = {**MINIMAL, "artifacts": {"v3": good}}
    assert Recipe.from_dict(data).to_dict() == data
    for bad in ({**good, "key": "0" * 23}, {**good, "sha256": "g" * 64}, {"method": "v3"}):
        assert "artifacts.v3" in refusal({**MINIMAL, "artifacts": {"v3": bad}})


@pytest.mark.parametrize("field", ["time", "log_snr", "order", "start_point", "eta", "clip"])
@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), True, 10**400, -(10**400), "5", [5], {"a": 5}],
)
def test_no_numbers(field: str, value: object) -> None:
    assert f"steps[0].{field}: " in refusal(with_step(**{field: value}))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, 10**400, 1e300, None, [1]])
def test_no_ends(value: object) -> None:
    assert "recipe: end: write 'clean' or a log-SNR" in refusal({**MINIMAL, "end": value})


@pytest.mark.parametrize("depth", [200, 700, 5000, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    nested: Any = 1
    for _ in range(depth):
        nested = [nested]
    refusal({**MINIMAL, "steps": nested})


def test_parse_action() -> None:
    assert parse_action("reuse") == Action("reuse")
    assert parse_action("skip") == Action("skip")
    assert parse_action("forecast:3") == Action("forecast", 3)
    for text in (
        "compute",
        "forecast",
        "forecast:-1",
        "forecast:01",
        "forecast:٣",
        "",
    ):
        with pytest.raises(ValueError, match="unknown site action"):
            parse_action(text)
    assert parse_action("output:0") == Action("output", 0)
    with pytest.raises(ValueError, match="'forecast:5' asks for 6 features, and at most 5 are"):
        parse_action("forecast:5")


# -- fuzzing ---------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["clean", "reuse", "taylor", "noise", 1e308, 10**400, "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def accepts_or_refuses(data: object) -> None:
    """Only a UserError of one line may come out; what is accepted is canonical."""
    try:
        recipe = Recipe.from_dict(data)
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert Recipe.from_dict(recipe.to_dict()) == recipe


@given(data=JSON)
@settings(max_examples=150, deadline=None)
def test_fuzz_any_json(data: object) -> None:
    accepts_or_refuses(data)


@given(data=recipes(), junk=JSON, pick=st.data())
@settings(max_examples=200, deadline=None)
def test_fuzz_one_place_of_a_valid_recipe(
    data: dict[str, Any], junk: object, pick: st.DataObject
) -> None:
    place: Any = data
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = pick.draw(st.sampled_from(keys))
        deeper = isinstance(place[key], (dict, list)) and len(place[key]) > 0
        if not deeper or pick.draw(st.booleans()):
            break
        place = place[key]
    place[key] = junk
    accepts_or_refuses(data)


@given(data=recipes(), name=st.text(max_size=6), junk=JSON)
@settings(max_examples=60, deadline=None)
def test_fuzz_foreign_keys(data: dict[str, Any], name: str, junk: object) -> None:
    accepts_or_refuses({**data, name: junk})
    accepts_or_refuses({**data, "steps": [{**data["steps"][0], name: junk}]})


def load_refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        Recipe.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@given(data=st.binary(max_size=60))
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_load_random_bytes(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_bytes(data)
    load_refusal(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b"\xff\xfe", "cannot read the recipe: not a text file"),
        (b"[" * 100_000, "not valid JSON"),
        # What is too deep depends on the release of Python.
        (b"[" * 700 + b"]" * 700, "nested too deep to be a recipe|expected a mapping of keys"),
        (b"9" * 5000, "not valid JSON"),
        (b'{"version": 1', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'{"version": NaN}', "unknown recipe version nan"),
        (b"{}", "key 'version' is missing"),
    ],
)
def test_load_refusals(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_bytes(content)
    refusal = load_refusal(path)
    assert any(part in refusal for part in message.split("|"))


def test_load_of_what_is_no_file(tmp_path: Path) -> None:
    assert "cannot read the recipe: No such file" in load_refusal(tmp_path / "none.json")
    assert "cannot read the recipe: Is a directory" in load_refusal(tmp_path)
