"""Plans and recipes are values: nothing in them can be assigned once they are made."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.diffusion.classifier import Classifier
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.recipe import Recipe

PLAIN = (str, bytes, int, float, bool, type(None))
STEPS: list[dict[str, Any]] = [
    {"order": 2, "guidance": {"rule": "cfg", "scale": 2.0}},
    {"form": "taylor", "order": 2, "relaxation": {"kind": "exp", "coefficient": 0.5}},
    {"order": 2, "corrector": {"kind": "implicit", "order": 2, "form": "taylor"}},
    {"sites": {"block.1.attn": "forecast:1"}, "rectify": [1.1, 0.0], "scaling": [1.1, 0.9]},
    {"gate": {"probe": "block.0", "threshold": 0.1, "covers": {"block.1..block.2": "reuse"}}},
    {"guidance": [{"rule": "pag", "scale": 2.0, "heads": {"block.1.attn": [0, 1]}}]},
    {"guidance": [{"rule": "classifier", "scale": 2.0}], "compensation": 1.1},
]


class Linear(Classifier):
    macs = 5

    def logits(self, data: Tensor) -> Tensor:
        return data.flatten(1)[:, :10]


@pytest.fixture
def recipes(random_dit: Callable[..., NetworkDenoiser]) -> list[tuple[Recipe, NetworkDenoiser]]:
    """One of everything, with weights that are there and with weights that are asked for."""
    denoiser = random_dit(depth=3)
    denoiser.classifier = Linear()
    data = baseline(f"ddim@{len(STEPS)}", denoiser).to_dict()
    data["steps"] = [{**step, **own} for step, own in zip(data["steps"], STEPS, strict=True)]
    weights = {"method": "recover", "key": "0" * 24, "sha256": "0" * 64, "settings": {"steps": 3}}
    more: tuple[dict[str, Any], ...] = (
        {"artifacts": {"weights": weights}},
        {"recovery": {"steps": 3, "rate": 0.1}},
    )
    return [
        (Recipe.from_dict({**data, "pruned": ["block.2.mlp"], **one}), denoiser) for one in more
    ]


def parts(value: object) -> Iterator[object]:
    """A value and everything that it is made of."""
    yield value
    inside: list[object] = []
    if dataclasses.is_dataclass(value):
        inside = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif isinstance(value, BaseModel):
        inside = [getattr(value, name) for name in type(value).model_fields]
    elif isinstance(value, Mapping):
        inside = list(value.values())
    elif isinstance(value, (tuple, list)):
        inside = list(value)
    for one in inside:
        yield from parts(one)


def names(value: Any) -> list[str]:
    if isinstance(value, BaseModel):
        return list(type(value).model_fields)
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return list(getattr(value, "_fields", ()))


def test_nothing_of_plans_and_recipes_can_be_assigned(recipes) -> None:
    kinds = set()
    for recipe, denoiser in recipes:
        plan = compile_recipe(recipe, denoiser)
        _ = plan.identity, plan.keep
        assert hash(plan.steps) == hash(compile_recipe(recipe, denoiser).steps)
        for part in [*parts(plan), *parts(recipe)]:
            if isinstance(part, (*PLAIN, Mapping, list)) or type(part) is tuple:
                continue
            kinds.add(type(part).__name__)
            assert names(part)
            for name in names(part):
                with pytest.raises(
                    (dataclasses.FrozenInstanceError, ValidationError, AttributeError)
                ):
                    setattr(part, name, None)
    assert kinds == {
        *("Plan", "ModelKey", "StepPlan", "Update", "Corrector", "Branch", "RowGate", "Action"),
        *("ClassifierTerm", "Artifact", "Training", "Recovery", "Recipe", "Start", "Step"),
        *("Guidance", "Gate", "CorrectorStep", "Relaxation"),
    }
