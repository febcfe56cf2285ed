"""A runner for commands, and a small study."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autosearch.cli import main

# A search of seconds: exact denoiser, few samples, this process.
SMALL = (
    "--set",
    "samples=100",
    "--set",
    "validation.samples=200",
    "--set",
    "space.timesteps.steps=[2, 4]",
    "--set",
    "baselines=[ddim, dpmpp_2m, dpmpp_2m-logsnr]",
)


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


Cli = Callable[..., Result]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def small() -> tuple[str, ...]:
    """Options that make the mixture's experiment one of seconds."""
    return SMALL


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command of these tests starts Ray; tests elsewhere are free to."""
    monkeypatch.setenv("AUTOSEARCH_EXECUTOR", "inprocess")


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study that tests only read."""
    directory = tmp_path_factory.mktemp("study") / "small"
    arguments = ("run", "mixture", "--out", str(directory), "--budget", "20", *SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOSEARCH_EXECUTOR", "inprocess")
        assert main(arguments) == 0
    return directory
