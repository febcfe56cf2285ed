"""Trying everything."""

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from autosearch.algorithms.base import Proposal, Result
from autosearch.algorithms.exhaustive import Exhaustive
from autosearch.baselines import baseline
from autosearch.errors import UserError
from autosearch.models.mixture import MixtureModel
from autosearch.spaces import Parameter, Space, Timesteps


class Box:
    """Three parameters; of the choice, two values are the same plan."""

    def box(self) -> list[Parameter]:
        return [
            Parameter("n", "int", 1, 3),
            Parameter("u", "float", 0.0, 1.0),
            Parameter("c", "choice", choices=("p", "q", "same as q")),
        ]

    def from_box(self, values: Any) -> dict[str, Any]:
        return dict(values)

    def plan(self, genome: dict[str, Any]) -> SimpleNamespace:
        return SimpleNamespace(identity=f"{genome['n']} {genome['u']} {genome['c'][-1]}")


class Listed(Box):
    """The same plans, listed by the space itself."""

    def enumerate(self) -> Iterator[dict[str, Any]]:
        for n, u in itertools.product((3, 2, 1), (0.0, 0.5)):
            yield {"n": n, "u": u, "c": "p"}


def made(space: Any, **settings: Any) -> Exhaustive:
    return Exhaustive(space, objectives=1, **settings)


def everything(algorithm: Exhaustive, lag: int) -> list[Any]:
    asked: list[Any] = []
    told = 0
    while True:
        pending = [Proposal(genome) for genome in asked[told:]]
        found = algorithm.ask(np.random.default_rng(0), pending)
        if found is not None:
            asked.append(found)
        if len(asked) - told == lag or (found is None and pending):
            algorithm.tell([Result(told, asked[told], None)], pending[1:])
            told += 1
        elif found is None:
            return asked


@pytest.mark.parametrize("lag", [1, 4, 99])
def test_every_plan_is_tried_once_and_then_it_ends(lag):
    tried = everything(made(Box(), grid=5), lag)
    points = [(g["n"], g["u"], g["c"]) for g in tried]
    grid = (0.0, 0.25, 0.5, 0.75, 1.0)
    assert points == list(itertools.product((1, 2, 3), grid, ("p", "q")))


def test_a_space_may_list_its_own_genomes():
    assert everything(made(Listed()), 2) == list(Listed().enumerate())
    with pytest.raises(UserError, match="the space has 6 points or more, above 5; use a narrower"):
        everything(made(Listed(), limit=5), 1)


def test_what_is_told_or_not_permitted_is_left_out():
    algorithm = made(Listed())
    algorithm.permits = lambda genome: genome["n"] != 2
    algorithm.tell([Result(0, {"n": 3, "u": 0.5, "c": "p"}, (1.0,))], [])
    assert [(g["n"], g["u"]) for g in everything(algorithm, 3)] == [(3, 0.0), (1, 0.0), (1, 0.5)]


def test_real_spaces_are_small_enough_or_refused(space):
    with pytest.raises(UserError, match=r"algorithm.limit: the space has .* above 10,000; use a"):
        made(space)
    denoiser = MixtureModel.load(dimension=2).denoiser
    small = Space(denoiser, [Timesteps(denoiser, steps=(2, 3))], baseline("ddim@2", denoiser))
    tried = everything(made(small, grid=2), 16)
    identities = [small.plan(genome).identity for genome in tried]
    assert len(identities) == len(set(identities)) > 30
    assert {len(genome["steps"]) for genome in tried} == {2, 3}


def test_impossible_settings_are_refused():
    with pytest.raises(UserError, match=r"algorithm.grid: 1 is too small; use at least 2"):
        made(Box(), grid=1)
    with pytest.raises(UserError, match="27 points or more, above 20"):
        made(Box(), limit=20)
