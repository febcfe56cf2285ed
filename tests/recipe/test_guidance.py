"""Rules of guidance in recipes: exact round trips, refusals in one line."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.errors import UserError
from autosearch.recipe import Recipe


def with_guidance(value: object) -> dict[str, Any]:
    return {
        "version": 1,
        "model": {"family": "vp", "schedule": "linear", "prediction": "noise"},
        "steps": [{"time": 500, "guidance": value}],
    }


def refusal(value: object) -> str:
    with pytest.raises(UserError) as caught:
        Recipe.from_dict(with_guidance(value))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_one_rule_is_a_list_of_one() -> None:
    rule = {"rule": "cfg", "scale": 2.5}
    one = Recipe.from_dict(with_guidance(rule))
    assert one == Recipe.from_dict(with_guidance([rule]))
    assert one.to_dict()["steps"][0]["guidance"] == [rule]
    for none in (None, []):
        assert "guidance" not in Recipe.from_dict(with_guidance(none)).to_dict()["steps"][0]


def test_all_rules_round_trip() -> None:
    rules = [
        {"rule": "cfgpp", "scale": 0.6},
        {"rule": "pag", "scale": 3, "heads": {"a": "all", "b": [0, 2]}, "strength": 0.5},
        {"rule": "weak", "scale": 1.5, "sites": {"block.1": "skip"}},
        {"rule": "classifier", "scale": 0.7, "temperature": 0.3, "discount": 0.5},
    ]
    recipe = Recipe.from_dict(with_guidance(rules))
    assert recipe.to_dict()["steps"][0]["guidance"] == rules
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_a_calibration_of_1_is_left_out() -> None:
    rule = {"rule": "classifier", "scale": 2, "temperature": 1.0, "discount": 1}
    plain = Recipe.from_dict(with_guidance(rule)).to_dict()["steps"][0]["guidance"]
    assert plain == [{"rule": "classifier", "scale": 2}]


@given(scale=st.floats(-100, 100), temperature=st.floats(0, 100), discount=st.floats(0, 10))
@settings(max_examples=30, deadline=None)
def test_classifiers_round_trip(scale: float, temperature: float, discount: float) -> None:
    rule = {
        "rule": "classifier",
        "scale": scale,
        "temperature": temperature,
        "discount": discount,
    }
    recipe = Recipe.from_dict(with_guidance(rule))
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert recipe.steps[0].guidance[0].scale == pytest.approx(scale, rel=1e-8)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "key 'steps[0].guidance[0].rule' is missing"),
        ({"rule": "cfgp", "scale": 1}, "rule: expected 'cfg', 'cfgpp', 'pag', 'weak' or"),
        ({"rule": "cfg"}, "key 'steps[0].guidance[0].scale' is missing"),
        ({"rule": "cfg", "scale": 101}, "steps[0].guidance[0].scale: "),
        ({"rule": "cfg", "scale": 1, "head": {}}, "unknown key 'steps[0].guidance[0].head'"),
        ({"rule": "pag", "scale": 1}, "steps[0].guidance[0]: rule 'pag' needs 'heads'"),
        ({"rule": "weak", "scale": 1}, "rule 'weak' needs 'sites'"),
        (
            {"rule": "cfg", "scale": 1, "heads": {"a": "all"}},
            "'heads' goes with rule 'pag', not with 'cfg'",
        ),
        ({"rule": "cfg", "scale": 1, "strength": 0.5}, "'strength' goes with rule 'pag'"),
        ({"rule": "cfg", "scale": 1, "discount": 0.5}, "'discount' goes with rule 'classifier'"),
        (
            {"rule": "weak", "scale": 1, "sites": {"a": "skip"}, "temperature": 2},
            "'temperature' goes with rule 'classifier', not with 'weak'",
        ),
        ({"rule": "classifier", "scale": 1, "temperature": -1}, "guidance[0].temperature: "),
        ({"rule": "classifier", "scale": 1, "discount": 11}, "guidance[0].discount: "),
        ({"rule": "classifier", "scale": 1, "heads": {"a": [0]}}, "'heads' goes with rule 'pag'"),
        ({"rule": "pag", "scale": 1, "heads": {"a": [-1]}}, "steps[0].guidance[0].heads"),
        ({"rule": "pag", "scale": 1, "heads": {"a": [0]}, "strength": 2}, "guidance[0].strength"),
        ({"rule": "weak", "scale": 1, "sites": {"a": "reus"}}, "unknown site action 'reus'; valid"),
        ({"rule": "cfgpp", "scale": 1.1}, "the scale of rule 'cfgpp' is 0 to 1, got 1.1"),
        ({"rule": "cfgpp", "scale": -0.1}, "the scale of rule 'cfgpp' is 0 to 1, got -0.1"),
        (
            [{"rule": "cfg", "scale": 2}, {"rule": "cfgpp", "scale": 1}],
            "steps[0].guidance: give one rule of 'cfg' and 'cfgpp' at most",
        ),
        ("cfg", "steps[0].guidance"),
    ],
)
def test_refused_in_one_line(value: object, message: str) -> None:
    assert message in refusal(value)
