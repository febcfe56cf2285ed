"""Imports point one way: from upper rooms to lower ones, those for type checkers included."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From the top; a room imports only rooms of rows below its own.
ROWS = (
    {"__main__"},
    {"cli"},
    {"experiments", "integrations"},
    {"visualization"},
    {"export", "testing"},
    {"engine"},
    {"algorithms"},
    {"spaces", "models", "study"},
    {"baselines"},
    {"objectives"},
    {"diffusion"},
    {"recipe"},
    {"mathematics"},
    {"text", "registry", "errors", "experiment", "_typing", ""},
)
# Parts of diffusion below the recipe, which reads the list of solver forms.
MATHEMATICS = ("solvers", "schedules", "lagrange")
# Within diffusion, from the top; all other files stand below these.
DIFFUSION = ({"sampling"}, {"plan"}, {"denoiser"}, {"sites", "solvers"})
HEIGHT = {one: len(ROWS) - i for i, row in enumerate(ROWS) for one in row}


def modules(root: Path) -> dict[str, Path]:
    """Files by dotted name; what links inside autosearch/ lead to counts once, as installed."""
    found = {}
    for top in ("autosearch", "spaces", "objectives", "experiments"):
        for path in (root / top).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            if not any((root / Path(*parts[:i])).is_symlink() for i in range(1, len(parts))):
                parts = parts if top == "autosearch" else ("autosearch", *parts)
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> Iterator[tuple[str, str]]:
    """Who imports whom, anywhere in a file."""
    known = modules(root)
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                targets = [one if one in known else node.module for one in inner]
            else:
                continue
            yield from ((name, one) for one in targets if one in known and one != name)


def part(name: str, depth: int) -> str:
    parts = name.split(".")
    return parts[depth] if len(parts) > depth else ""


def room(name: str) -> str:
    inner = part(name, 1) == "diffusion" and part(name, 2) in MATHEMATICS
    return "mathematics" if inner else part(name, 1)


def upward(root: Path) -> list[str]:
    """Imports of a room that does not stand below the importing one."""
    wrong = []
    for name, target in imports(root):
        here, there = room(name), room(target)
        loose = ROWS[-1] >= {here, there}
        if here != there and HEIGHT[here] <= HEIGHT[there] and not loose:
            wrong.append(f"{name} imports {target}")
    return wrong


def test_rooms_import_only_rooms_below() -> None:
    assert upward(ROOT) == []


def test_diffusion_stands_on_its_mathematics() -> None:
    height = {one: len(DIFFUSION) - i for i, row in enumerate(DIFFUSION) for one in row}
    for name, target in imports(ROOT):
        if part(name, 1) == part(target, 1) == "diffusion":
            here, there = part(name, 2), part(target, 2)
            below = height.get(here, 0) > height.get(there, 0)
            assert below or here == there or not {here, there} & set(height), (name, target)


def test_no_module_imports_itself_through_others() -> None:
    edges: dict[str, set[str]] = {}
    for name, target in imports(ROOT):
        edges.setdefault(name, set()).add(target)
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for target in sorted(edges.get(name, ())):
                visit(target, (*path, name))
            done.add(name)

    for name in sorted(edges):
        visit(name, ())


@pytest.mark.parametrize(
    "line",
    [
        "import autosearch.cli",
        "import typing\nif typing.TYPE_CHECKING:\n    from autosearch.engine import run",
        "def late():\n    from autosearch.export import apply",
    ],
)
def test_an_upward_import_is_noticed(tmp_path: Path, line: str) -> None:
    for package in ("cli", "engine", "export"):
        (tmp_path / "autosearch" / package).mkdir(parents=True)
        (tmp_path / "autosearch" / package / "__init__.py").touch()
    (tmp_path / "autosearch" / "engine" / "run.py").touch()
    (tmp_path / "objectives").mkdir()
    (tmp_path / "objectives" / "fid.py").write_text(line + "\n")
    assert len(upward(tmp_path)) == 1


def test_rooms_are_few_and_hardly_anything_is_loose() -> None:
    folders = {path.parent.name for path in (ROOT / "autosearch").glob("*/__init__.py")}
    assert folders == {one for row in ROWS[1:-1] for one in row} - {"mathematics"}
    loose = {path.stem for path in (ROOT / "autosearch").glob("*.py")}
    assert loose <= ROWS[0] | {"__init__" if one == "" else one for one in ROWS[-1]}
    assert len(loose) <= 7
