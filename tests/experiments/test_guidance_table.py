"""The tables of guidance: which rivals there are, and what stands beside what."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from autosearch.baselines import baseline
from autosearch.engine.evaluate import RecipeEvaluation
from autosearch.experiments.benchmarks import guidance
from autosearch.models import DigitsModel
from autosearch.objectives import Estimate
from autosearch.recipe import Recipe
from autosearch.study.events import Header
from autosearch.study.study import Candidate, Study

NOISE = np.random.default_rng(0).normal(size=20)
DENOISER = DigitsModel.load().denoiser
BASE = baseline("dpmpp_2m@5", DENOISER)


def fid_of(recipe: Recipe) -> float:
    """Best with a little of layer 3 at the last step, where it also costs least."""
    total = 0.3
    for i, step in enumerate(recipe.steps):
        for rule in step.guidance:
            if rule.rule == "pag":
                good = "block.3.attn" in rule.heads
                total += (-0.02 if good else 0.01) * rule.scale * (2 if i == 4 else 1)
            else:
                total += 0.01 * abs(rule.scale - 1.15)
    return total


class Fake:
    """Evaluates without a network."""

    def __init__(self, spec: Any, *, samples: int, seed: int, **rest: Any) -> None:
        self.model = SimpleNamespace(denoiser=DENOISER)
        self.seed = seed

    def evaluate(self, recipes: Mapping[str, Recipe]) -> list[RecipeEvaluation]:
        found = []
        for name, recipe in recipes.items():
            forwards = len(recipe.steps) + sum(bool(step.guidance) for step in recipe.steps)
            fid = fid_of(recipe)
            values = {
                "fid": Estimate(fid, tuple((fid + 0.1 * NOISE).tolist())),
                "forwards": Estimate(float(forwards)),
                **{other: Estimate(0.5) for other in guidance.OBJECTIVES[1:]},
            }
            found.append(RecipeEvaluation(name, recipe, 400, self.seed, values, {}))
        return found


def candidate(number: int, recipe: Recipe, *, name: str | None = None) -> Candidate:
    data = recipe.to_dict()
    genome = {"start": {"scale": "unit"}, "steps": data["steps"], "end": data.get("end", "clean")}
    values = dict(Fake(None, samples=1, seed=0).evaluate({"": recipe})[0].values)
    kind = "baseline" if name else "search"
    return Candidate(number, kind, name, genome, str(number), 1.0, status="ok", values=values)


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> dict[str, Study]:
    monkeypatch.setattr(guidance, "RecipeEvaluator", Fake)
    rule = {"rule": "pag", "scale": 2, "heads": {"block.3.attn": [0, 2]}}
    experiment = {
        "model": "digits",
        "space": {"named": {"recipes": ["dpmpp_2m@5"]}, "heads": {}},
        "objectives": ["fid", "forwards"],
    }
    header = Header(
        name="guidance",
        model_name="digits",
        model=BASE.model.model_dump(),
        experiment=experiment,
        overrides=[],
    )
    known = [
        candidate(0, BASE, name="dpmpp_2m@5"),
        candidate(1, guidance.guided(BASE, rule, [4])),
        candidate(2, guidance.guided(BASE, rule)),
    ]
    study = Study(header)
    study.candidates.update((c.id, c) for c in known)
    monkeypatch.setattr(Study, "read", classmethod(lambda cls, path: study))
    return {"one": study}


def test_rivals_are_constant_scales_and_whole_layers() -> None:
    kinds = guidance.constants(BASE) | guidance.whole_layers(BASE, list(DENOISER.heads))
    assert {kind: len(found) for kind, found in kinds.items()} == {
        "constant cfg": len(guidance.CFG_SCALES),
        "constant cfg++": len(guidance.CFGPP_SCALES),
        "whole layer": 8 * len(guidance.LAYER_SCALES),
    }
    assert kinds["constant cfg"]["unguided"] == BASE
    some = kinds["constant cfg"]["cfg 1.15"]
    assert [step.guidance[0].scale for step in some.steps] == [1.15] * 5
    layer = kinds["whole layer"]["pag block.2.attn 0.6"]
    assert [step.guidance[0].heads for step in layer.steps] == [{"block.2.attn": "all"}] * 5
    second = guidance.guided(BASE, {"rule": "cfg", "scale": 2}, [1])
    assert [bool(step.guidance) for step in second.steps] == [False, True, False, False, False]


@pytest.mark.usefixtures("studies")
def test_each_rival_stands_beside_the_best_of_the_front_that_costs_no_more(tmp_path: Any) -> None:
    rows = guidance.front_rows(tmp_path, samples=400, seeds=[1, 2], screening=400, workers=None)
    first = {row["name"]: row for row in rows if row["seed"] == 1}
    assert {row["kind"] for row in rows} == {
        "searched",
        "constant cfg",
        "constant cfg++",
        "whole layer",
    }
    best = first["cfg 1.15"]
    # Candidate 2 is guided at every step: 10 forwards too, and a lower FID than 1's 6.
    assert best["forwards"] == 10
    assert best["against"] == "#2"
    expected = 0.3 - (0.3 - 0.02 * 2 * 4 - 0.02 * 2 * 2)
    assert best["difference"] == pytest.approx(expected)
    low, high = best["difference_ci"]
    assert low == pytest.approx(high)  # the same noise
    assert first["unguided"]["forwards"] == 5
    assert "against" not in first["unguided"] or first["unguided"]["against"] == "#0"
    layers = [row for row in first.values() if row["kind"] == "whole layer"]
    assert len(layers) == 3
    assert all("block.3.attn" in row["name"] for row in layers)
    text = guidance._markdown(rows)
    assert len(text.splitlines()) == 2 + len(rows)
    assert len({line.count("|") for line in text.splitlines()}) == 1


@pytest.mark.usefixtures("studies")
def test_head_sets_stand_beside_the_best_layer(tmp_path: Any) -> None:
    rows = guidance.head_rows(
        [tmp_path / "greedy-0"], samples=400, seeds=[3], screening=400, workers=None
    )
    sets, layer = rows
    assert (sets["kind"], layer["kind"]) == ("greedy-0", "whole layer")
    assert sets["heads"] == ["block.3.attn:0", "block.3.attn:2"]
    assert sets["against"] == layer["name"] == "pag block.3.attn 1.5"
    assert sets["difference"] == pytest.approx(-0.02 * 0.5 * 6)
    # Layers are perturbed where the study's best set is: at all steps.
    assert sets["forwards"] == layer["forwards"] == 10
    last = guidance.whole_layers(BASE, ["block.1.attn"], [4])["whole layer"]
    assert all([bool(s.guidance) for s in r.steps] == [False] * 4 + [True] for r in last.values())
