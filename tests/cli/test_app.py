"""Exit codes and where messages go, whatever the command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autosearch import __version__
from autosearch.cli import main
from autosearch.errors import UserError
from autosearch.study.study import Study

COMMANDS = (
    "run",
    "front",
    "status",
    "validate",
    "plot",
    "export",
    "report",
    "evaluate",
    "sample",
    "calibrate",
    "list",
    "schema",
)


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    done = python(
        "import sys; from autosearch.cli import main; main(['--help']);"
        "heavy = {'torch', 'ray', 'matplotlib', 'numpy', 'pydantic', 'pymoo'} & set(sys.modules);"
        "print('heavy:', sorted(heavy))"
    )
    assert "heavy: []" in done.stdout
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


def test_no_arguments_show_the_help(cli) -> None:
    result = cli()
    assert result.code == 0
    assert "Usage: autosearch" in result.out


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_has_a_short_option(cli, command: list[str]) -> None:
    short, long = cli(*command, "-h"), cli(*command, "--help")
    assert (short.code, short.out) == (0, long.out)
    assert " ".join(["Usage: autosearch", *command]) in short.out


def test_version(cli) -> None:
    assert cli("--version").out == f"{__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frnt"], ["'frnt'", "'front'"]),
        (["run"], ["EXPERIMENT", "autosearch run --help"]),
        (["run", "mixture", "--workers", "many"], ["--workers"]),
        (["run", "mixture", "--bugdet", "3"], ["--bugdet", "--budget"]),
        (["export", "DIR", "-o", "x"], ["--pick"]),
        (["sample", "baseline:ddim@2"], ["-o"]),
        (["schema", "more"], ["more"]),
        (["--nope"], ["--nope"]),
    ],
)
def test_usage_errors_are_one_line(cli, arguments: list[str], words: list[str]) -> None:
    result = cli(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert result.err.count("\n") == 1
    assert result.err.startswith("autosearch: ")
    for word in words:
        assert word in result.err


def test_a_users_mistake_is_one_line_and_exit_2(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(directory: Path) -> None:
        raise UserError("place: what\n is wrong; remedy")

    monkeypatch.setattr(Study, "read", fail)
    result = cli("front", "somewhere")
    assert (result.code, result.out) == (2, "")
    assert result.err == "autosearch: place: what is wrong; remedy\n"


def test_an_exit_from_within_is_a_line_and_exit_1(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Study, "read", lambda directory: sys.exit(0))
    result = cli("front", "somewhere")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("autosearch: ended from within: SystemExit: 0 (")
    assert result.err.count("\n") == 1


def test_ctrl_c_is_a_line_and_exit_130(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(directory: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Study, "read", interrupt)
    result = cli("front", "somewhere")
    assert (result.code, result.err) == (130, "autosearch: interrupted\n")


def test_our_own_mistakes_come_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(directory: Path) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Study, "read", fail)
    with pytest.raises(ZeroDivisionError):
        main(["front", "somewhere"])


def test_a_reader_that_leaves_is_no_error() -> None:
    # The reading end is closed before the command writes.
    code = (
        "import os, sys; from autosearch.cli import main; read, write = os.pipe(); os.close(read);"
        "os.dup2(write, 1); sys.exit(main(['schema']))"
    )
    done = python(code)
    assert done.returncode == 1
    assert done.stderr == ""


def test_python_runs_the_package_beside_files_with_names_of_libraries(tmp_path: Path) -> None:
    for name in ("statistics", "typer", "optuna", "json"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not me')\n")
    done = subprocess.run(
        [sys.executable, "-m", "autosearch", "list", "experiments"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "mixture" in done.stdout
