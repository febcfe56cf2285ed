"""The layout that everything else stands on."""

import ast
import configparser
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import autosearch

ROOT = Path(__file__).parent.parent
MAPPED = ("spaces", "objectives", "experiments")


# They serve this repository, and are in no wheel.
NOT_INSTALLED = {"autosearch.experiments.benchmarks", "autosearch.experiments.training"}


def packages_in_tree() -> set[str]:
    """Dotted names of all packages, by the names that they are imported under."""
    found = set()
    for top, prefix in (("autosearch", ""), *((name, "autosearch.") for name in MAPPED)):
        for init in (ROOT / top).rglob("__init__.py"):
            relative = init.parent.relative_to(ROOT)
            # The links inside autosearch/ lead to the mapped folders, which are counted once.
            if not any((ROOT / part).is_symlink() for part in [*relative.parents, relative]):
                found.add(prefix + ".".join(relative.parts))
    return found


def test_packages_of_setup_cfg_equal_the_tree():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = config["options"]["packages"].split()
    assert sorted(listed) == sorted(set(listed))
    assert set(listed) == packages_in_tree() - NOT_INSTALLED


def test_every_file_of_a_package_is_in_its_wheel():
    """Code by ``packages``, all else by ``package_data``; but for benchmarks and training."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    options = config["options"]
    tops = dict(re.findall(r"(\S+) = (\S+)", options["package_dir"]))
    data = {
        name: re.split(r"[,\s]+", patterns.strip())
        for name, patterns in config["options.package_data"].items()
    }
    for package in options["packages"].split():
        top = max((one for one in tops if f"{package}.".startswith(f"{one}.")), key=len)
        folder = ROOT / tops[top] / Path(*package.removeprefix(top).split("."))
        held = {path for one in data.get(package, ()) for path in folder.glob(one)}
        others = {path for path in folder.iterdir() if path.is_file() and path.suffix != ".py"}
        assert others <= held, package


@pytest.mark.parametrize("name", MAPPED)
def test_mapped_folders_are_linked_relative_and_installed_inside_the_package(name):
    link = ROOT / "autosearch" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name
    code = f"import importlib.util as u; print(u.find_spec({name!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT.anchor, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "None"


def test_help_is_quick_to_import_and_leaves_the_heavy_libraries_out():
    code = (
        "import sys, autosearch.cli; "
        "print([m for m in ('torch', 'ray', 'matplotlib', 'optuna') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], "--constraint constraints.txt"),
        (["PIP_ARGS=--find-links wheels"], "--constraint constraints.txt --find-links wheels"),
        (
            ["CONSTRAINTS=", "PIP_ARGS=--index-url https://example.org"],
            "--index-url https://example.org",
        ),
    ],
)
def test_every_install_takes_the_constraints_and_the_users_place(settings, expected):
    command = ["make", "--dry-run", "install", "VENV=.venv-none", *settings]
    # Without what an outer make hands on.
    outer = ("MAKE", "CONSTRAINTS", "PIP_ARGS", "VENV")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
    done = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, check=True)
    installs = [line for line in done.stdout.splitlines() if "/pip install" in line]
    assert len(installs) == 2
    for line in installs:
        options = line.partition("--disable-pip-version-check ")[2].lstrip()
        assert options.startswith(f"{expected} ")


# Words that meant something only here, and the field's for them: docs/glossary.md.
PRIVATE_WORDS = {
    "answer", "foreseen", "gallery", "lab", "ladder", "liveness", "march", "pace", "places",
    "ports", "remeasure", "starts", "trajectories",
}  # fmt: skip


def test_names_are_the_fields():
    """No module, class, function or parameter of the package is called by a private word."""
    private = []
    for top in ("autosearch", *MAPPED):
        for path in (ROOT / top).rglob("*.py"):
            if any((ROOT / part).is_symlink() for part in path.relative_to(ROOT).parents):
                continue
            names = [path.stem]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("_apply_"):
                    continue  # named after the records of a journal, whose words stay
                if isinstance(node, ast.ClassDef | ast.FunctionDef):
                    names.append(re.sub("(?<=[a-z])(?=[A-Z])", "_", node.name).lower())
                elif isinstance(node, ast.arg):
                    names.append(node.arg)
            private += [f"{path}: {one}" for one in names if PRIVATE_WORDS & set(one.split("_"))]
    assert private == []


def test_every_public_method_says_what_it_does():
    """Its own docstring, or that of the method which it overrides; ruff sees to all the rest."""
    silent = []
    for found in pkgutil.walk_packages(autosearch.__path__, "autosearch."):
        if found.name.startswith("autosearch.experiments."):
            continue
        for cls in vars(importlib.import_module(found.name)).values():
            if not inspect.isclass(cls) or cls.__module__ != found.name or cls.__name__[0] == "_":
                continue
            for name, member in vars(cls).items():
                called = isinstance(member, FunctionType | classmethod | staticmethod | property)
                named = name[0] != "_" and not name.startswith("test_")
                by_default = getattr(member, "__name__", "") == "<lambda>"
                if called and named and not by_default and not inspect.getdoc(getattr(cls, name)):
                    silent.append(f"{found.name}.{cls.__name__}.{name}")
    assert silent == []


def test_without_diffusers_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(autosearch.UserError, match=r"pip install 'autosearch\[diffusers\]'"):
        _ = autosearch.RecipeScheduler


def test_the_version_is_the_installed_one():
    from importlib.metadata import version

    assert version("autosearch") == autosearch.__version__
