"""Names to classes: third parties' entry points, and settings that become arguments."""

import inspect
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from autosearch import algorithms, models, objectives, spaces
from autosearch.baselines import POLICIES, SOLVERS, baseline, baseline_names
from autosearch.baselines.fitted import FITS
from autosearch.diffusion.grids import GRIDS
from autosearch.diffusion.solvers import FORMS
from autosearch.errors import UserError
from autosearch.export import FORMATS
from autosearch.integrations import loggers
from autosearch.registry import Parts, Registry, construct
from autosearch.spaces import Timesteps

PACKAGES = {
    "algorithm": algorithms,
    "logger": loggers,
    "model": models,
    "objective": objectives,
    "space": spaces,
}
PARTS = [
    (kind, name, cls.load if kind == "model" else cls)
    for kind, package in PACKAGES.items()
    if kind != "objective"  # these have no settings
    for name, cls in package.REGISTRY.items()
]


# -- entry points ------------------------------------------------------------------------------

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts packages on the path, each a module and the text of its entry points."""

    def install(name: str, code: str, points: str) -> None:
        folder = tmp_path / name
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)
        (folder / f"{name}_parts.py").write_text(code)
        monkeypatch.syspath_prepend(folder)

    return install


GOOD = "class Good:\n    name, summary = 'good', 'fine'\n"
BROKEN = [
    ("import nothing_of_this_name", "thing = bad_parts:Thing", "No module named"),
    ("raise RuntimeError('a\\nb')", "thing = bad_parts:Thing", "RuntimeError: a b"),
    ("import sys; sys.exit(0)", "thing = bad_parts:Thing", "SystemExit"),
    ("x = (", "thing = bad_parts:Thing", "SyntaxError"),
    ("", "thing = bad_parts:Thing", "has no attribute 'Thing'"),
    ("", "thing = no_such_module_either:Thing", "No module named"),
    ("thing = 3", "thing = bad_parts:thing", "is no class"),
    ("def thing(): pass", "thing = bad_parts:thing", "is no class"),
    ("", "thing = bad_parts", "is no class"),
    ("class Thing: summary = ''", "thing = bad_parts:Thing", "of another name: None"),
    ("class Thing: name, summary = 'x', ''", "thing = bad_parts:Thing", "of another name: 'x'"),
    ("class Thing: name = 'thing'", "thing = bad_parts:Thing", "has no summary"),
]


@pytest.mark.parametrize(("code", "point", "reason"), BROKEN)
def test_what_cannot_be_loaded_is_warned_of_once_and_left_out(
    install: Install, caplog: pytest.LogCaptureFixture, code: str, point: str, reason: str
) -> None:
    install("good", GOOD, "[autosearch.gadgets]\ngood = good_parts:Good\n")
    install("bad", code, f"[autosearch.gadgets]\n{point}\n")
    sys.modules.pop("bad_parts", None)
    registry = Registry("gadget", [])
    assert registry.find("good").summary == "fine"
    assert caplog.records == []  # nobody asked for the other one
    assert list(registry) == list(registry) == ["good"]
    assert len(caplog.records) == 1
    assert reason in caplog.messages[0]
    assert "gadget 'thing' of package bad" in caplog.messages[0]
    assert "\n" not in caplog.messages[0]
    with pytest.raises(UserError, match=r"gadget 'thing' of package bad .*remove that package"):
        registry.find("thing")


def test_the_name_of_a_built_in_one_is_not_taken(install: Install, caplog: Any) -> None:
    code = "class Fid:\n    name, summary = 'fid', 'mine'\n"
    install("thief", code, "[autosearch.objectives]\nfid = thief_parts:Fid\n")
    assert dict(objectives.REGISTRY)["fid"] is objectives.Fid
    assert "'fid' has the name of a built-in one; left out" in caplog.text


@pytest.mark.parametrize("text", ["[autosearch.gadgets]\nno equals sign\n", "\x00\n[[["])
def test_a_list_of_entry_points_that_cannot_be_read_hides_no_other(
    install: Install, text: str
) -> None:
    install("good", GOOD, "[autosearch.gadgets]\ngood = good_parts:Good\n")
    install("torn", "", text)
    assert list(Registry("gadget", []))[:1] == ["good"]


def test_a_package_that_is_installed_later_changes_nothing(
    install: Install, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install("good", GOOD, "[autosearch.gadgets]\ngood = good_parts:Good\n")
    registry = Registry("gadget", [])
    before = registry.find("good")
    info = tmp_path / "good" / "late-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[autosearch.gadgets]\nlate = no_module:Thing\n")
    assert registry.find("good") is before
    assert list(registry) == ["good"]
    assert caplog.records == []


# Code of a part called "thing" of each kind whose parts are values.
SOLVER = "from autosearch.baselines.base import Solver\nthing = Solver('x', lambda k: [{}] * k, 1)"
FORM = (
    "from autosearch.diffusion.solvers.forms.taylor import Taylor\n"
    "thing = type('Mine', (Taylor,), {'name': 'thing'})()"
)
GRID = (
    "from autosearch.diffusion.grids import Grid\n"
    "points = lambda schedule, steps: [(schedule.first * (1 - i / steps), None)"
    " for i in range(steps)]\n"
    "thing = Grid('thing', 'x', ('vp',), points, 'nobody', usual=True)"
)
POLICY = (
    "from autosearch.baselines.base import Policy\n"
    "thing = Policy('x', (), lambda data, denoiser: None, owns='sites')"
)
FIT = (
    "from autosearch.baselines.fitted import Fit\n"
    "thing = Fit('x', (), lambda recipe, calibrator: recipe, owns='time')"
)
FORMAT = (
    "from autosearch.export import Format\n"
    "thing = Format('thing', 'x', 'file', lambda recipe, path: ())"
)
# With a built-in name of the kind, and code of what is refused.
Values = tuple[Parts[Any], str, str, str, str, str]
VALUES: list[Values] = [
    (SOLVERS, "solvers", SOLVER, "ddim", POLICY, "is no Solver"),
    (FORMS, "forms", FORM, "taylor", FORM.replace("()", ""), "is no Form"),
    (GRIDS, "grids", GRID, "linspace", SOLVER, "is no Grid"),
    (POLICIES, "policies", POLICY, "fora", FIT, "is no Policy"),
    (FITS, "fits", FIT, "boss", POLICY, "is no Fit"),
    (FORMATS, "exports", FORMAT, "json", FORMAT, "has another name: 'thing'"),
]


@pytest.mark.parametrize("case", VALUES, ids=lambda case: str(case[1]))
def test_parts_that_are_values_keep_the_same_rules(
    install: Install,
    caplog: pytest.LogCaptureFixture,
    case: Values,
) -> None:
    parts, group, code, taken, wrong, reason = case
    before = list(parts)
    module = f"{group}_parts"
    install(group, f"{code}\n", f"[autosearch.{group}]\nthing = {module}:thing\n")
    install(f"{group}_bad", wrong, f"[autosearch.{group}]\nbad = {group}_bad_parts:thing\n")
    install(f"{group}_thief", "", f"[autosearch.{group}]\n{taken} = no_module:thing\n")
    assert "thing" in parts
    assert "bad" in parts.names
    assert module not in sys.modules, "a name that is only looked for runs no code"
    assert parts[taken] is parts.own[taken]
    assert parts.find("thing") is sys.modules[module].thing
    assert list(parts) == [*before, "thing"]
    said = [message for message in caplog.messages if "left out" in message]
    assert len(said) == 2
    assert any(f"{taken!r} has the name of a built-in one" in message for message in said)
    assert any(f"{parts.kind} 'bad' of package {group}_bad {reason}" in message for message in said)
    with pytest.raises(UserError, match=rf"{parts.kind} 'bad' of package .*remove that package"):
        parts.find("bad", where="here")
    with pytest.raises(UserError, match=rf"^here: unknown {parts.kind} 'thingg'; did you mean"):
        parts.find("thingg", where="here")
    with pytest.raises(KeyError):
        parts["thingg"]


def test_policies_and_fits_are_no_namesakes(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    text = "[autosearch.policies]\nboss = no_module:x\n[autosearch.fits]\nfora = no_module:x\n"
    install("both", "", text)
    assert "boss" not in POLICIES
    assert "fora" not in FITS
    assert caplog.text.count("has the name of a built-in one; left out") == 2


def test_parts_of_other_packages_act_in_names_of_baselines(
    install: Install, make: Callable[..., Any]
) -> None:
    install("some", f"{POLICY}\nrule = thing\n{SOLVER}\nsolver = thing\n{GRID}", "")
    points = "[autosearch.solvers]\nmine = some_parts:solver\n"
    points += "[autosearch.policies]\nbare = some_parts:rule\n"
    install("other", "", f"{points}[autosearch.grids]\nthing = some_parts:thing\n")
    denoiser = make("vp")
    assert baseline("mine@4", denoiser).to_dict()["steps"] == [
        {"time": time} for time in (999, 749, 500, 250)
    ]
    steps = baseline("mine-thing@2", denoiser).to_dict()["steps"]
    assert [step["time"] for step in steps] == [999, 499.5]
    # What is installed changes no search that does not name it.
    names = baseline_names(denoiser.schedule)
    assert not any("mine" in name or "thing" in name for name in names)
    with pytest.raises(UserError, match=r"this model has no blocks to leave out"):
        baseline("mine+bare@4", denoiser)


def test_commands_run_beside_a_broken_package(install: Install, tmp_path: Path) -> None:
    points = [f"[autosearch.{kind}s]\nthing = bad_parts:Thing\n" for kind in PACKAGES]
    install("bad", "raise RuntimeError('broken')", "\n".join(points))
    done = subprocess.run(
        [sys.executable, "-m", "autosearch", "list", "objectives"],
        env={"PYTHONPATH": ":".join(map(str, sys.path))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "fid" in done.stdout
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("autosearch: warning: objective 'thing' of package bad cannot")


# -- settings ----------------------------------------------------------------------------------


def stand_in(part: Any) -> Callable[..., dict[str, Any]]:
    """A function with the parameters of a part that only returns its keyword arguments."""

    def function(*args: Any, **given: Any) -> dict[str, Any]:
        return given

    function.__signature__ = inspect.signature(part, eval_str=True)  # type: ignore[attr-defined]
    return function


def settings_of(part: Any) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(part, eval_str=True).parameters
    return {
        name: one
        for name, one in parameters.items()
        if one.kind is one.KEYWORD_ONLY and name != "objectives"
    }


IDS = [f"{kind} {name}" for kind, name, _ in PARTS]


@pytest.mark.parametrize(("kind", "name", "part"), PARTS, ids=IDS)
def test_missing_and_unknown_settings_are_one_line(kind: str, name: str, part: Any) -> None:
    settings, function = settings_of(part), stand_in(part)
    required = [key for key, one in settings.items() if one.default is one.empty]
    if required:
        with pytest.raises(UserError, match=f"^here: key '{required[0]}' is missing$"):
            construct(function, {}, where="here", objectives=2)
    else:
        construct(function, {}, where="here", objectives=2)
    with pytest.raises(UserError, match=r"^here: unknown key 'no_such_key'"):
        construct(function, {"no_such_key": 1}, where="here", objectives=2)


@pytest.mark.parametrize(("kind", "name", "part"), PARTS, ids=IDS)
def test_settings_given_as_text_arrive_as_what_they_stand_for(
    kind: str, name: str, part: Any
) -> None:
    settings = settings_of(part)
    function, required = stand_in(part), {}
    for key, one in settings.items():
        if one.default is one.empty:
            required[key] = "x" if one.annotation is str else ["x"]
    for key, one in settings.items():
        if type(one.default) in (int, float, bool):
            given = {**required, key: str(one.default)}
            made = construct(function, given, where="here", objectives=2)
            assert made[key] == one.default, key
            assert type(made[key]) is type(one.default), key
            if type(one.default) is not bool:
                with pytest.raises(UserError, match=f"here.{key}: expected a number, got True"):
                    construct(function, {**required, key: True}, where="here", objectives=2)
                with pytest.raises(UserError, match=f"here.{key}: .*number|integer, .*got 'no'"):
                    construct(function, {**required, key: "no"}, where="here", objectives=2)
            else:
                made = construct(function, {**required, key: "no"}, where="here", objectives=2)
                assert made[key] is False


def test_the_converted_value_is_what_acts(make) -> None:
    family = construct(
        Timesteps, {"steps": ["3", "4"], "min_gap": "1e-2"}, make("flow"), where="space.timesteps"
    )
    assert family.steps == (3, 4)
    assert family.gap == pytest.approx(1e-2)


def test_types_of_others_are_taken_as_they_declare_them() -> None:
    class Own:
        pass

    def function(*, a: "Sequence[float]" = (), b: Own | None = None, c=None) -> Any:
        return a, b, c

    own = Own()
    assert construct(function, {"a": ["1", 2], "b": own, "c": "x"}, where="w") == (
        [1.0, 2.0],
        own,
        "x",
    )
    with pytest.raises(UserError, match=r"w\.b: "):
        construct(function, {"b": 3}, where="w")
