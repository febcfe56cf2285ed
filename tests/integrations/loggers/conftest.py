"""Runs in this process with a cheap evaluator: all that is slow here are the loggers' libraries."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autosearch.engine import session as session_module
from autosearch.engine.run import run_study
from autosearch.engine.workers.base import Evaluator, Outcome, SampleTask
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.experiment import experiment_from_dict
from autosearch.integrations.loggers.dispatch import make_loggers
from autosearch.study.events import Evaluated
from autosearch.study.journal import read_journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study

Run = Callable[..., Study]


class Fake(Evaluator):
    """Rows that depend on the plan and the noise alone, without any sampling."""

    def evaluate(self, task: SampleTask) -> Outcome:
        key = [zlib.crc32(task.plan.identity.encode()), task.seed, int(task.stream)]
        rng = np.random.default_rng(key)
        count = len(task.blocks) * task.block_size
        rows = {
            need: rng.normal(rng.normal(), 1, (count, 2)).astype(np.float32)
            for need in sorted(task.needs)
        }
        return Outcome(task.id, rows=rows, forward_equivalents=task.nominal)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a small experiment in ``tmp_path / name``, or go on with it."""
    monkeypatch.setattr(
        session_module, "make_executor", lambda factory, **options: InProcessExecutor(Fake)
    )

    def go(
        loggers: list[Any], *, candidates: int = 12, resume: bool = False, name: str = "study"
    ) -> Study:
        experiment = experiment_from_dict(
            {
                "model": {"name": "mixture", "dimension": 2, "components": 2},
                "space": {"timesteps": {"steps": [2, 4]}},
                "objectives": ["fid", "nfe"],
                "baselines": ["ddim"],
                "samples": 100,
                "validation": {"samples": 100},
                "algorithm": "random",
                "budget": {"candidates": candidates},
                "loggers": loggers,
            },
            where="test",
        )
        return run_study(
            experiment, tmp_path / name, resume=resume, progress=Progress(), loggers=make_loggers
        )

    return go


@pytest.fixture
def cut(tmp_path: Path) -> Callable[[int], None]:
    """Cut the journal after so many results, as if the run had been killed there."""

    def cut_after(results: int, name: str = "study") -> None:
        path = tmp_path / name / "journal.jsonl"
        events = read_journal(tmp_path / name)
        ends = [i for i, event in enumerate(events) if isinstance(event, Evaluated)]
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[: ends[results - 1] + 1]))

    return cut_after
