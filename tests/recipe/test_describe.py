"""The steps of a recipe in words."""

from autosearch.recipe import Recipe
from autosearch.recipe.describe import step_table, summary

MODEL = {"family": "vp", "schedule": "linear", "prediction": "noise"}


def recipe(*steps: dict[str, object]) -> Recipe:
    return Recipe.from_dict({"version": 1, "model": MODEL, "steps": list(steps)})


def test_only_what_is_said_has_a_column() -> None:
    headings, rows = step_table(recipe({"time": 900}, {"time": 300.5, "order": 2}))
    assert headings == ["step", "time", "order", "form"]
    assert rows == [["1", "900", "1", ""], ["2", "300.5", "2", "dpmsolver"]]


def test_everything_that_a_step_may_choose() -> None:
    pag = {"rule": "pag", "scale": 0.6, "heads": {"block.3.attn": [0, 2]}, "strength": 0.8}
    headings, rows = step_table(
        recipe(
            {"time": 900, "evaluate": "zero_x0"},
            {
                "time": 600,
                "order": 2,
                "form": "unipc_bh2",
                "corrector": "pseudo",
                "guidance": [{"rule": "cfg", "scale": 1.5}, pag],
                "sites": {"block.1": "reuse", "block.2": "reuse", "block.5": "forecast:1"},
            },
            {"time": 300, "eta": 0.5, "prediction": "noise"},
        )
    )
    shown = [dict(zip(headings, row, strict=True)) for row in rows]
    assert shown[0]["evaluates"] == "data taken to be 0"
    assert shown[1]["corrector"] == "pseudo corrector"
    assert shown[1]["guidance"] == "cfg 1.5, pag 0.6 at strength 0.8 (block.3.attn 0 2)"
    assert shown[1]["sites left out"] == "forecast 1, reuse 2"
    assert (shown[2]["eta"], shown[2]["prediction"]) == ("0.5", "noise")


def test_the_summary_stands_for_a_picture() -> None:
    text = summary(recipe({"time": 900, "sites": {"block.1": "skip"}}, {"time": 300.5, "order": 2}))
    assert text == (
        "2 steps at times 900, 300.5, of orders 1, 2; 1 of the steps leave something out"
    )
