"""Parts of others that fail: each is named in one line, and exit codes tell whose fault it is."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from autosearch import algorithms, objectives, spaces
from autosearch.algorithms import Algorithm
from autosearch.cli import main
from autosearch.errors import UserError
from autosearch.objectives import Estimate, Objective
from autosearch.registry import Registry
from autosearch.spaces.base import Family

SMALL = ("--workers", "1", "--set", "samples=100", "--set", "validation.samples=100")
SMALL += ("--set", "space.timesteps.steps=[2, 4]", "--set", "baselines=[ddim@2, ddim@4]")


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[Registry, type[Any]], None]:
    """Makes a class of this file known by its name, as a package's entry point would."""

    def add(registry: Registry, kind: type[Any]) -> None:
        monkeypatch.setattr(registry, "builtin", (*registry.builtin, kind))

    monkeypatch.setenv("AUTOSEARCH_EXECUTOR", "inprocess")
    return add


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


class Own(Algorithm):
    """Proposes what :attr:`act` makes of a random genome."""

    name, summary = "own", "of somebody else"
    act: ClassVar[Callable[[Any, dict[str, Any]], Any]]

    def ask(self, rng, pending):
        return type(self).act(self, self.space.sample(rng))


def without(key: str) -> Callable[[Any, dict[str, Any]], Any]:
    return lambda own, genome: {name: value for name, value in genome.items() if name != key}


def changed(**step: Any) -> Callable[[Any, dict[str, Any]], Any]:
    def act(own, genome):
        genome["steps"][0] |= step
        return genome

    return act


def leaving(own, genome):
    sys.exit(0)


def asking(own, genome):
    return own.space.plan({"steps": [3]})


def raising(own, genome):
    raise ValueError("no\nidea")


GARBAGE: dict[str, tuple[Callable[..., Any], str]] = {
    "text": (lambda own, genome: "garbage", "genome is of type str"),
    "a list": (lambda own, genome: [genome], "genome is of type list"),
    "a number": (lambda own, genome: 0, "genome is of type int"),
    "an empty mapping": (lambda own, genome: {}, "a genome that is none"),
    "no steps": (without("steps"), "'steps'"),
    "steps that are none": (lambda own, genome: {**genome, "steps": [3]}, "a mapping of keys"),
    "a time that is text": (changed(time="soon"), "time: expected a number, got 'soon'"),
    "a time that is NaN": (changed(time=float("nan")), "numbers have to be finite"),
    "a time beyond all": (changed(time=1e9), "a genome that is none"),
    "a solver that is none": (changed(form="mine"), "form"),
    "an object": (changed(order=object()), "is of type object"),
    "a plan asked of the space": (asking, "a genome that is none: genome: steps[0]: expected"),
    "a point that is none": (lambda own, genome: algorithms.base.Proposal(genome, 3), "point is"),
    "an exception": (raising, "ValueError: no idea ("),
    "an exit": (leaving, "SystemExit: 0 ("),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_an_algorithm_is_named_whatever_it_does(name, register, cli, tmp_path):
    act, words = GARBAGE[name]
    register(algorithms.REGISTRY, type("Bad", (Own,), {"act": act}))
    arguments = ("run", "mixture", *SMALL, "--set", "algorithm=own", "--budget", "5")
    for more in ((), ("--json",), ("--dry-run",)):
        out = tmp_path / "-".join(["a", *more])
        code, said, err = cli(*arguments, "--out", out, *more)
        last = err.splitlines()[-1]
        assert (code, "Traceback" in err) == (1, False), err
        assert said == ""
        assert last.startswith("autosearch: algorithm 'own': "), last
        assert last.endswith("; tell its author")
        assert words in last


def test_a_mistake_that_an_algorithm_finds_itself_is_the_user_s(register, cli, tmp_path):
    def act(own, genome):
        raise UserError("algorithm.own: 3 is too small")

    register(algorithms.REGISTRY, type("Strict", (Own,), {"act": act}))
    arguments = ("run", "mixture", *SMALL, "--set", "algorithm=own", "--budget", "5")
    code, _, err = cli(*arguments, "--out", tmp_path / "a")
    assert code == 2
    assert err.splitlines()[-1] == "autosearch: algorithm.own: 3 is too small"


class Scribble(Family):
    """Leaves something in steps that no recipe has."""

    name, summary, fields = "scribble", "of somebody else", ("eta",)

    def randomize(self, genome, rng):
        for step in genome["steps"]:
            step["eta"] = "much"

    def repair(self, genome):
        pass

    def mutate(self, genome, rng):
        pass

    def recombine(self, child, other, rng):
        pass

    def encodes(self, genome):
        return True


@pytest.mark.parametrize("algorithm", ["random", "nsga2", "tpe"])
def test_a_space_is_named_that_makes_what_is_no_genome(register, cli, tmp_path, algorithm):
    register(spaces.REGISTRY, Scribble)
    arguments = ("run", "mixture", *SMALL, "--set", "space.scribble={}", "--budget", "12")
    arguments = (*arguments, "--set", f"algorithm={algorithm}")
    for more in ((), ("--dry-run",)):
        code, _, err = cli(*arguments, "--out", tmp_path / "a", *more)
        last = err.splitlines()[-1]
        if algorithm == "tpe":  # the space has no box, which is found first
            assert code == 2
            assert "space.scribble has no box" in last
            continue
        assert code == 1, err
        assert last.startswith("autosearch: space 'scribble': a genome that is none: ")
        assert "'int' and 'str'" in last


def test_two_of_others_are_both_named(register, cli, tmp_path):
    register(spaces.REGISTRY, Scribble)
    register(algorithms.REGISTRY, type("Fine", (Own,), {"act": lambda own, genome: genome}))
    arguments = ("run", "mixture", *SMALL, "--set", "space.scribble={}", "--budget", "5")
    code, _, err = cli(*arguments, "--set", "algorithm=own", "--out", tmp_path / "a")
    assert code == 1
    assert "algorithm 'own' or space 'scribble': a genome that is none" in err.splitlines()[-1]


# -- objectives --------------------------------------------------------------------------------


class Odd(Objective):
    """An objective that does what :attr:`act` does."""

    name, summary, needs = "odd", "of somebody else", frozenset({"features"})
    act: ClassVar[Callable[[int], Any]]

    def estimate(self, rows, reference, blocks):
        return type(self).act(blocks)


def returned(value: object) -> Callable[[int], Any]:
    return lambda blocks: value


def raised(blocks):
    raise ValueError("no idea")


def left(blocks):
    sys.exit(0)


FAILING = {
    "an exception": (raised, "objective 'odd': ValueError: no idea"),
    "an exit": (left, "objective 'odd': SystemExit: 0"),
    "no estimate": (returned(3.0), "objective 'odd' returned float"),
    "text": (returned(Estimate("3")), "objective 'odd' returned an estimate that is no number"),
}


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("key", ["objectives=[odd, nfe]", "report=[odd]"])
def test_an_objective_that_fails_is_no_mistake_of_the_user_s(name, key, register, cli, tmp_path):
    act, words = FAILING[name]
    register(objectives.REGISTRY, type("Failing", (Odd,), {"act": act}))
    arguments = ("run", "mixture", *SMALL, "--set", key, "--budget", "5")
    for more in ((), ("--json",)):
        code, said, err = cli(*arguments, "--out", tmp_path / "a", *more)
        assert (code, said) == (1, "")
        assert words in err.splitlines()[-1]
        assert "tell its author" in err.splitlines()[-1]
        # Nothing was searched: the command is free to come again.
        assert not (tmp_path / "a" / "journal.jsonl").exists()
    code, said, err = cli("evaluate", "baseline:ddim@4", "--model", "mixture", "--samples", "100",
                          "--objectives", "odd")  # fmt: skip
    assert (code, said) == (1, "")
    assert words in err.splitlines()[-1]


NAN = returned(Estimate(float("nan")))


def test_what_is_only_reported_may_have_no_value(register, cli, tmp_path):
    register(objectives.REGISTRY, type("Absent", (Odd,), {"act": NAN}))
    arguments = ("run", "mixture", *SMALL, "--budget", "8", "--out", tmp_path / "a")
    code, said, err = cli(*arguments, "--set", "report=[odd, kid]")
    assert code == 0, err
    assert err.count("report: odd is not finite; left out of the recipes without a value") == 1
    assert "also measured" in said
    table = json.loads((tmp_path / "a" / "front.json").read_text())
    assert table["missing"] == []
    assert all({"fid", "kid"} <= set(point["values"]) for point in table["points"])
    assert all("odd" not in point["values"] for point in table["points"])
    assert "odd" not in table["reference"]["values"]


def test_a_recipe_without_a_reported_value_stands_beside_those_with_one(register, cli, tmp_path):
    seen: list[int] = []

    def act(blocks):
        seen.append(blocks)
        return Estimate(float("nan") if len(seen) % 2 else 1.0)

    register(objectives.REGISTRY, type("Half", (Odd,), {"act": act}))
    arguments = ("run", "mixture", *SMALL, "--budget", "8", "--out", tmp_path / "a")
    assert cli(*arguments, "--set", "report=[odd]")[0] == 0
    table = json.loads((tmp_path / "a" / "front.json").read_text())
    measured = {p["id"]: "odd" in p["values"] for p in table["points"] + table["baselines"]}
    assert set(measured.values()) == {True, False}
    experiment = tmp_path / "mine.yaml"
    experiment.write_text(
        "model: mixture\nspace: {timesteps: {}}\nobjectives: [nfe, fid]\nreport: [odd]\n"
        "validation: {samples: 200}\n"
    )
    pair = ("evaluate", "baseline:ddim@4", "--against", "baseline:ddim@5")
    code, said, _ = cli(*pair, "--experiment", experiment)
    assert code == 0
    odd = next(line for line in said.splitlines() if line.startswith("odd"))
    assert sorted(odd.split()) == ["-", "1", "odd"]
    code, said, _ = cli(*pair, "--experiment", experiment, "--json")
    data = json.loads(said)
    assert ("odd" in data["values"]) != ("odd" in data["against"]["values"])
    assert set(data["paired"]) == {"nfe", "fid"}


@pytest.mark.parametrize("key", ["objectives=[fid, nfe, odd]", "constraints={odd: {max: 3}}"])
def test_what_is_searched_or_limited_has_to_be_finite(key, register, cli, tmp_path):
    register(objectives.REGISTRY, type("Absent", (Odd,), {"act": NAN}))
    arguments = ("run", "mixture", *SMALL, "--set", key, "--budget", "8")
    code, _, err = cli(*arguments, "--out", tmp_path / "a")
    assert code == 2
    assert "reference ddim@100: odd is not finite" in err.splitlines()[-1]


# -- the end -----------------------------------------------------------------------------------


class Few(Algorithm):
    """Proposes a few genomes, and then nothing or the same."""

    name, summary = "few", "of somebody else"
    same: ClassVar[bool] = False

    def ask(self, rng, pending):
        if self.told < 4 or self.same:
            return self.space.sample(np.random.default_rng(self.told if self.told < 4 else 0))
        return None

    told = 0

    def tell(self, results: Sequence[Any], pending: Sequence[Any]) -> None:
        self.told += len(results)


@pytest.mark.parametrize("same", [False, True])
def test_a_search_that_ends_before_its_budget_says_why(same, register, cli, tmp_path):
    register(algorithms.REGISTRY, type("FewMore", (Few,), {"same": same}))
    arguments = ("run", "mixture", *SMALL, "--set", "algorithm=few", "--budget", "40")
    words = "algorithm 'few' proposed nothing more, or only what is known or not allowed"
    for out in (tmp_path / "a", tmp_path / "b"):
        as_json = ("--json",) if out.name == "b" else ()
        code, said, err = cli(*arguments, "--out", out, *as_json)
        assert code == 0
        told = " ".join((err if as_json else said).split())
        assert "ended before its budget, after " in told
        assert told.count(words) == 1
        if as_json:
            assert json.loads(said)["stopped"] == "space exhausted"
        assert words in " ".join(cli("status", out)[1].split())
        assert words in " ".join(cli("front", out)[1].split())


def test_a_search_that_spends_its_budget_says_nothing_of_it(register, cli, tmp_path: Path):
    code, said, err = cli("run", "mixture", *SMALL, "--budget", "5", "--out", tmp_path / "a")
    assert code == 0
    assert "before its budget" not in said + err + cli("status", tmp_path / "a")[1]
