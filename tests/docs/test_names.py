"""Files, modules, commands and versions that the documentation names are there."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from autosearch.diffusion.grids import GRIDS
from autosearch.experiments.benchmarks.__main__ import LONG, QUICK

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "mkdocs.yml"])
CODE = re.compile(r"`([^`\n]+)`")
# Groups of entry points, which are no modules.
GROUPS = {
    f"autosearch.{kind}"
    for kind in ("callbacks", "exports", "fits", "forms", "grids", "loggers", "policies", "solvers")
}
TOPS = ("autosearch", "spaces", "objectives", "experiments", "tests", "docs", ".ci", ".github")


def current(page: Path) -> str:
    """The text of a page, without the changelog's table of old names."""
    return re.sub(r"(?s)\| old .*?\n\n", "", page.read_text(encoding="utf-8"))


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for i in range(len(parts), 0, -1):
        try:
            spec = find_spec(".".join(parts[:i]))
        except ModuleNotFoundError:
            continue
        if spec is not None:
            thing = __import__(".".join(parts[:i]), fromlist=["_"])
            for part in parts[i:]:
                thing = getattr(thing, part, None)
            return thing is not None
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_modules_that_pages_name_exist(page: Path) -> None:
    text = current(page)
    for code in CODE.findall(text):
        if re.fullmatch(r"[\w./-]+", code) and code.split("/")[0] in TOPS and "/" in code:
            assert (ROOT / code.replace("NAME", "digits")).exists(), code
        elif re.fullmatch(r"\w+/[\w./-]+\.py", code):  # within autosearch/, for short
            assert (ROOT / "autosearch" / code).exists(), code
        if re.fullmatch(r"autosearch(\.\w+)+", code) and code not in GROUPS:
            assert is_there(code), code
    for name in re.findall(r"python -m (autosearch[\w.]*)", text):
        assert find_spec(name) is not None, name
    for name in re.findall(r"(?m)^::: (\S+)$", text):
        assert is_there(name), name
    for names in re.findall(r"python -m autosearch\.experiments\.benchmarks ([a-z_ ]+)`", text):
        assert set(names.split()) <= {*QUICK, *LONG}, names
    for name, things in re.findall(r"from (autosearch[\w.]*) import ([\w, ]+)", text):
        assert all(is_there(f"{name}.{thing.strip()}") for thing in things.split(",")), (
            name,
            things,
        )


def test_the_citation_names_this_version() -> None:
    from autosearch import __version__

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == __version__


def test_every_grid_stands_in_their_table() -> None:
    text = (ROOT / "docs" / "solvers.md").read_text(encoding="utf-8")
    for name in GRIDS:
        assert re.search(rf"`{re.escape(name)}[`:]", text), name
