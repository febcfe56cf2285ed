"""Bad input of all kinds: exit code 2 and one line that names the place, never a traceback.

Each case is made from a number, which a failure shows; nothing is sampled or searched.
"""

import json
import os
import random
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.mutation import JUNK, mutated, mutated_bytes, written
from support.tally import count

from autosearch.baselines import baseline
from autosearch.cli import main
from autosearch.engine import dry_run, run
from autosearch.engine.evaluate import RecipeEvaluator
from autosearch.experiment import Experiment, shipped_experiments
from autosearch.models.spec import ModelSpec
from autosearch.recipe import Recipe
from autosearch.study.journal import FILE
from autosearch.study.journal_lines import encode
from autosearch.visualization import report, sample_grids
from autosearch.visualization import study_outputs as artifacts

SHORT, LONG = 80, 3000
# No case may take longer than this, valid or not.
SECONDS = 20


@dataclass
class Fuzz:
    """Runs commands in a folder of its own and judges how they end."""

    capsys: pytest.CaptureFixture[str]
    codes: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def run(self, case: object, arguments: list[str], places: tuple[str, ...]) -> int:
        """One command; ``places`` are the names of which its message has to have one."""
        self.capsys.readouterr()
        signal.alarm(SECONDS)
        try:
            code = main(arguments)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            last = [
                f"{frame.name}:{frame.lineno}"
                for frame in traceback.extract_tb(error.__traceback__)
            ]
            self.faults.append(f"case {case}: {arguments}: {error!r} in {' '.join(last[-4:])}")
            return -1
        finally:
            signal.alarm(0)
        said = self.capsys.readouterr()
        self.codes[code] += 1
        count("commands on bad input, " + ("taken" if code == 0 else "refused in one line"))
        wrong = self._wrong(code, said.out, said.err, places)
        if wrong:
            self.faults.append(f"case {case}: {arguments}: {wrong}: {code} {said}")
        return code

    def _wrong(self, code: int, out: str, err: str, places: tuple[str, ...]) -> str | None:
        lines = [
            line
            for line in err.splitlines(keepends=True)
            if not line.startswith("autosearch: warning: ")
        ]
        if code == 0:
            return None
        if code != 2 or out or len(lines) != 1:
            return "not one line and exit code 2"
        if not lines[0].startswith("autosearch: ") or len(lines[0]) > 2000:
            return "not a short line of ours"
        return None if any(place in lines[0] for place in places) else "names no place"


def _done(*arguments: object, **options: object) -> None:
    raise typer.Exit(0)


def _slow(number: int, frame: object) -> None:
    raise TimeoutError(f"longer than {SECONDS} s")


@pytest.fixture
def fuzz(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Fuzz]:
    """Where everything that is expensive ends at once: so far the input was taken."""
    monkeypatch.chdir(tmp_path)
    timing = dry_run._Timing("nothing", 1e-6, 1e-6, 0.0, 0.0, 1.0, None)
    monkeypatch.setattr(dry_run, "_time_plans", lambda problem, costs: timing)
    monkeypatch.setattr(dry_run, "_proposal_seconds", lambda problem, most: 0.0)
    monkeypatch.setattr(dry_run, "_DRAWS", 2)
    monkeypatch.setattr(RecipeEvaluator, "evaluate", _done)
    monkeypatch.setattr(sample_grids, "save_samples", _done)
    monkeypatch.setattr(run, "run_study", _done)
    monkeypatch.setattr(run, "validate_study", _done)
    monkeypatch.setattr(report, "write_report", _done)
    monkeypatch.setattr(artifacts, "plan_figure", _done)
    monkeypatch.setattr("autosearch.visualization.figures.front_figure", _done)
    monkeypatch.setenv("AUTOSEARCH_EXECUTOR", "inprocess")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    before = signal.signal(signal.SIGALRM, _slow)
    found = Fuzz(capsys)
    yield found
    signal.signal(signal.SIGALRM, before)
    assert not found.faults, "\n".join([f"{len(found.faults)} faults", *found.faults[:20]])


def cases(count: int) -> Iterator[tuple[int, random.Random]]:
    start = int(os.environ.get("AUTOSEARCH_FUZZ_START", "0"))
    for number in range(start, start + count):
        yield number, random.Random(number)


# -- experiments -------------------------------------------------------------------------------

EXPERIMENTS: tuple[dict[str, Any], ...] = (
    {
        "model": "mixture",
        "space": {"timesteps": {"steps": [2, 6]}, "solver": {"orders": [1, 2]}},
        "objectives": ["fid", "nfe"],
        "baselines": ["ddim", "dpmpp_2m"],
        "samples": 100,
        "budget": {"candidates": 20},
        "validation": {"samples": 200},
    },
    {
        "model": {"name": "mixture", "dimension": 2, "components": 3, "seed": 1},
        "space": {"timesteps": {"steps": [3, 5], "min_gap": 2}},
        "objectives": ["kid", "forwards"],
        "report": ["fid"],
        "constraints": {"nfe": {"max": 5}},
        "baselines": ["ddim"],
        "algorithm": {"name": "nsga2", "population": 8},
        "rungs": [100, 200],
        "budget": {"forward_equivalents": 1e6, "hours": 2},
        "workers": {"count": 2, "cpus": 1, "time_limit": 60},
        "order": "arrival",
        "lag": 4,
        "noise": "common",
        "seed": 3,
    },
    {
        "model": "mixture",
        "space": {"timesteps": {"steps": [2, 4]}, "solver": {}},
        "objectives": ["fid", "nfe"],
        "baselines": ["ddim@3"],
        "algorithm": "random",
        "samples": 200,
        "noise": "fresh",
    },
)
KEYS = (*Experiment.model_fields, "baseline", "reference", "--set")


def experiment_case(fuzz: Fuzz, folder: Path, number: int, rng: random.Random) -> None:
    base = rng.choice(EXPERIMENTS)
    path = folder / "case.yaml"
    if rng.random() < 0.3:
        path.write_bytes(mutated_bytes(rng, yaml.safe_dump(base).encode()))
    else:
        path.write_text(written(mutated(rng, base, rng.randint(1, 2))))
    arguments = ["run", "case.yaml", "--dry-run"]
    if rng.random() < 0.2:
        key = rng.choice([*KEYS, "budget.hours", "model.seed", "space.timesteps.steps", "a..b"])
        arguments += ["--set", f"{key}={rng.choice(JUNK)}".replace("\0", "")]
    fuzz.run(number, arguments, ("case.yaml", *KEYS))


def test_experiments(fuzz: Fuzz, tmp_path: Path) -> None:
    for number, rng in cases(SHORT):
        experiment_case(fuzz, tmp_path, number, rng)
    assert fuzz.codes[0] > 0 < fuzz.codes[2]


@pytest.mark.soak
def test_many_experiments(fuzz: Fuzz, tmp_path: Path) -> None:
    for number, rng in cases(LONG):
        experiment_case(fuzz, tmp_path, number, rng)


def test_valid_experiments_are_taken(fuzz: Fuzz, tmp_path: Path) -> None:
    for number, base in enumerate(EXPERIMENTS):
        (tmp_path / "case.yaml").write_text(yaml.safe_dump(base))
        assert fuzz.run(number, ["run", "case.yaml", "--dry-run", "--json"], ()) == 0


# -- recipes -----------------------------------------------------------------------------------

NAMES = ("ddim@3", "dpmpp_2m@4", "ddpm@3", "unipc@4", "dpmpp_2m-logsnr@3", "deis@3")


@pytest.fixture(scope="session")
def recipes() -> list[dict[str, Any]]:
    denoiser = ModelSpec("mixture").load().denoiser
    return [baseline(name, denoiser).to_dict() for name in NAMES]


def recipe_case(
    fuzz: Fuzz, folder: Path, recipes: list[dict[str, Any]], number: int, rng: random.Random
) -> None:
    base, path = rng.choice(recipes), folder / "case.json"
    if rng.random() < 0.3:
        path.write_bytes(mutated_bytes(rng, json.dumps(base).encode()))
    else:
        path.write_text(written(mutated(rng, base, rng.randint(1, 2))))
    fuzz.run(
        number,
        ["evaluate", "case.json", "--model", "mixture", "--samples", "100"],
        ("case.json",),
    )


def test_recipes(fuzz: Fuzz, tmp_path: Path, recipes: list[dict[str, Any]]) -> None:
    for number, rng in cases(SHORT):
        recipe_case(fuzz, tmp_path, recipes, number, rng)
    assert fuzz.codes[0] > 0 < fuzz.codes[2]


@pytest.mark.soak
def test_many_recipes(fuzz: Fuzz, tmp_path: Path, recipes: list[dict[str, Any]]) -> None:
    for number, rng in cases(LONG):
        recipe_case(fuzz, tmp_path, recipes, number, rng)


# -- journals ----------------------------------------------------------------------------------

READERS: tuple[list[str], ...] = (
    ["front", "study", "--json"],
    ["front", "study"],
    ["front", "study", "--pick", "knee"],
    ["status", "study", "--json"],
    ["status", "study"],
    ["export", "study", "-o", "x.json", "--pick", "knee"],
)


def journal_case(
    fuzz: Fuzz, folder: Path, records: list[dict[str, Any]], number: int, rng: random.Random
) -> None:
    """Harm to bytes, or to records whose lines are then written as if they were meant so."""
    (folder / "study").mkdir(exist_ok=True)
    path = folder / "study" / FILE
    whole = [encode(record, n, "s") for n, record in enumerate(records)]
    if rng.random() < 0.3:
        path.write_bytes(mutated_bytes(rng, b"".join(whole)))
    else:
        changed = [dict(record) for record in records]
        how, at = rng.randrange(8), rng.randrange(len(changed))
        if how == 0:
            del changed[at]
        elif how == 1:
            changed.insert(at, changed[rng.randrange(len(changed))])
        else:
            data = mutated(rng, changed[at], rng.randint(1, 2))
            changed[at] = data if isinstance(data, dict) else {"type": data}
        path.write_bytes(b"".join(_line(record, n) for n, record in enumerate(changed)))
    fuzz.run(number, rng.choice(READERS), ("study", "journal", "candidate", "--pick"))


def _line(record: Any, number: int) -> bytes:
    """As ``encode`` would write it, without its care."""
    try:
        return encode(record, number, "s")
    except ValueError:
        return encode({"type": "odd"}, number, "s")


@pytest.fixture
def records(undisturbed: Path) -> list[dict[str, Any]]:
    lines = (undisturbed / FILE).read_text(encoding="ascii").splitlines()
    return [json.loads(line)["record"] for line in lines]


def test_journals(fuzz: Fuzz, tmp_path: Path, records: list[dict[str, Any]]) -> None:
    for number, rng in cases(SHORT):
        journal_case(fuzz, tmp_path, records, number, rng)
    assert fuzz.codes[0] > 0 < fuzz.codes[2]


@pytest.mark.soak
def test_many_journals(fuzz: Fuzz, tmp_path: Path, records: list[dict[str, Any]]) -> None:
    for number, rng in cases(LONG):
        journal_case(fuzz, tmp_path, records, number, rng)


# -- command lines -----------------------------------------------------------------------------

OPTIONS = {
    "run": ("--out", "--set", "--workers", "--budget", "--seed", "--resume", "--dry-run", "--json"),
    "front": ("--json", "--pick"),
    "status": ("--json",),
    "validate": ("--samples", "--seed", "--json"),
    "plot": ("-o", "--pick"),
    "export": ("-o", "--pick", "--format", "--name"),
    "report": ("-o", "--pick"),
    "evaluate": ("--model", "--experiment", "--samples", "--seed", "--objectives", "--against",
                 "--workers", "--device", "--json"),
    "sample": ("-o", "--model", "--experiment", "-n", "--seed"),
    "list": ("--json",),
    "schema": (),
}  # fmt: skip
FLAGS = {"--resume", "--dry-run", "--json"}
WORDS = (
    "mixture", "digits", "study", "folder", "broken.json", "broken.yaml", "good.yaml", "good.json",
    "missing", "x.png", "x.json", "x.yaml", "folder/y.png", "broken.json/z.png", "baseline:ddim@3",
    "baseline:ddim@0", "baseline:dim@3", "baseline:ddim", "baseline:", "ddim@3", "knee", "best:fid",
    "best:", "nfe<=3", "nfe<=", "<=3", "fid<=0.1, nfe<=3", "speedup>=2", "speedup>=2 over ddim@3",
    "speedup>=x", "speedup>=2 over nothing", "samples=200", "samples=abc", "a=b", "=", "a.b.c=1",
    "model.seed=2", "space.timesteps.steps=[2,3]", "algorithm=random", "0", "1", "-1", "3", "100",
    "1e3", "nan", "999999999999999999999", "", " ", "json", "sigmas", "sigma-text", "cache-dit",
    "optuna", "cpu", "cuda0", "fid", "fid,nfe", "fid,fid", "nope", "--", "-", "--help", "-x",
    "--jso", "spaces", "objectives", "experiment", "recipe", "ü\u0000", "y" * 300, "../..", "%s{}",
)  # fmt: skip
# What a message may name besides the words that were given.
PLACES = (
    "speedup",
    "--",
    "-o",
    "-n",
    "argument",
    "option",
    "command",
    "seed",
    "samples",
    "study",
    "workers",
)


@pytest.fixture
def place(fuzz: Fuzz, tmp_path: Path, undisturbed: Path, recipes: list[dict[str, Any]]) -> Path:
    """Files to name in commands, good and bad."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.json").write_text('{"a": ')
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    (tmp_path / "good.yaml").write_text(yaml.safe_dump(EXPERIMENTS[0]))
    (tmp_path / "good.json").write_text(json.dumps(recipes[0]))
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / FILE).write_bytes((undisturbed / FILE).read_bytes())
    return tmp_path


def command_case(fuzz: Fuzz, number: int, rng: random.Random) -> None:
    command = rng.choice([*OPTIONS] * 5 + ["nope", ""])
    likely = {"run": "good.yaml", "evaluate": "good.json", "sample": "baseline:ddim@3"}
    arguments = [command]
    if rng.random() < 0.9:
        arguments.append(likely.get(command, "study") if rng.random() < 0.7 else rng.choice(WORDS))
    if command in ("plot", "export", "report", "sample") and rng.random() < 0.7:
        arguments += ["-o", rng.choice(["x.png", "x.json"])]
    if command in ("evaluate", "sample") and rng.random() < 0.8:
        arguments += ["--model", "mixture"]
    for option in rng.sample(OPTIONS.get(command, ()), min(2, len(OPTIONS.get(command, ())))):
        if rng.random() < 0.7:
            arguments += [option] if option in FLAGS else [option, rng.choice(WORDS)]
    if rng.random() < 0.1:
        arguments.append(rng.choice(WORDS))
    if command == "validate" or (command == "list" and rng.random() < 0.5):
        arguments = arguments[:3]
    # Blank words are named between quotes, or as the folder that an empty path is.
    blank = {" ": ("' '",), "": ("''", "autosearch: .: ")}
    named = [name for word in arguments for name in blank.get(word, (word,))]
    fuzz.run(number, arguments, (*PLACES, *named))


def test_commands(fuzz: Fuzz, place: Path) -> None:
    for number, rng in cases(SHORT):
        command_case(fuzz, number, rng)
    assert fuzz.codes[0] > 0 < fuzz.codes[2]


@pytest.mark.soak
def test_many_commands(fuzz: Fuzz, place: Path) -> None:
    for number, rng in cases(LONG):
        command_case(fuzz, number, rng)


# -- anything at all ---------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)
Write = Callable[[Path, Any], None]


def _anything(fuzz: Fuzz, data: Any) -> None:
    Path("case.yaml").write_text(written(data))
    Path("case.json").write_text(written(data))
    fuzz.run(data, ["run", "case.yaml", "--dry-run"], ("case.yaml", *KEYS))
    fuzz.run(data, ["evaluate", "case.json", "--model", "mixture"], ("case.json",))


@given(data=JSON)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_anything(fuzz: Fuzz, data: Any) -> None:
    _anything(fuzz, data)


@pytest.mark.soak
@given(data=JSON)
@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_much_of_anything(fuzz: Fuzz, data: Any) -> None:
    _anything(fuzz, data)


def test_what_is_shipped_is_taken(fuzz: Fuzz, recipes: list[dict[str, Any]]) -> None:
    assert "mixture" in shipped_experiments()
    assert fuzz.run("shipped", ["run", "mixture", "--dry-run"], ()) == 0
    for recipe in recipes:
        Path("case.json").write_text(json.dumps(Recipe.from_dict(recipe).to_dict()))
        arguments = ["evaluate", "case.json", "--model", "mixture", "--samples", "100"]
        assert fuzz.run("shipped", arguments, ()) == 0
