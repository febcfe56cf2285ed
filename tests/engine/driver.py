"""A process of its own for searches that are killed, or that another hash seed may disturb.

``driver.py run EXPERIMENT OUT`` searches once; ``driver.py kill EXPERIMENT OUT POINT...`` searches
once undisturbed and once killed with SIGKILL when so many results are written, resumed each time.
Either prints what came of it as JSON. EXPERIMENT is JSON text.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from autosearch.engine import session
from autosearch.engine.run import run_study
from autosearch.engine.workers.base import Outcome, SampleTask
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.experiment import Experiment, experiment_from_dict
from autosearch.study.front import Front
from autosearch.study.journal import read_journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study

LOG = "evaluations.log"
RESULT = b'"type":"result"'


class Slow(ModelEvaluator):
    """Takes its time, unevenly, and notes each evaluation that it begins."""

    log: Path

    def evaluate(self, task: SampleTask) -> Outcome:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{task.plan.identity} {int(task.stream)} {task.blocks}\n")
        time.sleep(random.uniform(0, 0.02))
        return super().evaluate(task)


def search(experiment: Experiment, out: Path) -> None:
    """Begin a study, or go on with it."""
    Slow.log = out.with_name(f"{out.name}.{LOG}")

    def in_process(factory: Any, **options: object) -> InProcessExecutor:
        return InProcessExecutor(lambda: Slow(factory.args[0]))

    session.make_executor = in_process  # type: ignore[assignment]
    run_study(experiment, out, resume=(out / "journal.jsonl").exists(), progress=Progress())


def forked(experiment: Experiment, out: Path) -> int:
    """A child that searches: it holds what any run holds, and can be killed like any."""
    pid = os.fork()
    if pid == 0:
        try:
            search(experiment, out)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def killed_at(experiment: Experiment, out: Path, point: int) -> bool:
    """Kill a run once ``point`` results are written; False when it ended before."""
    journal = out / "journal.jsonl"
    pid = forked(experiment, out)
    while not journal.exists() or journal.read_bytes().count(RESULT) < point:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.001)
    # Anywhere inside an evaluation, or between it and the journal.
    time.sleep(random.uniform(0, 0.03))
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def finished(experiment: Experiment, out: Path) -> None:
    if os.waitpid(forked(experiment, out), 0)[1]:
        raise SystemExit("the run did not end well")


def summary(out: Path) -> dict[str, Any]:
    """What a study came to."""
    records = [event.to_record() for event in read_journal(out)]
    return {
        "front": Front.of(Study.read(out)).to_dict(),
        "asks": [record for record in records if record["type"] == "ask"],
        "results": [record for record in records if record["type"] == "result"],
        "evaluations": out.with_name(f"{out.name}.{LOG}").read_text().splitlines(),
    }


def main() -> None:
    torch.set_num_threads(1)
    mode, text, path, *points = sys.argv[1:]
    experiment, out = experiment_from_dict(json.loads(text), where="driver"), Path(path)
    if mode == "run":
        search(experiment, out)
        print(json.dumps(summary(out)))
        return
    whole = out.with_name("whole")
    finished(experiment, whole)
    kills = sum(killed_at(experiment, out, int(point)) for point in points)
    finished(experiment, out)
    print(json.dumps({"whole": summary(whole), "killed": summary(out), "kills": kills}))


if __name__ == "__main__":
    main()
