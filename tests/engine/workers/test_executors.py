"""What every executor owes: the same outcomes for the same tasks, and a reason for each failure."""

import functools
import json
import os
import re
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ray import cloudpickle

from autosearch.diffusion.noise import Stream, draw
from autosearch.diffusion.plan.plan import Plan, StepPlan
from autosearch.engine.workers.base import Evaluator, Executor, Outcome, SampleTask
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.engine.workers.ray_pool import RayExecutor
from autosearch.errors import Infeasible, UserError
from autosearch.recipe import ModelKey

# An evaluator of a folder of this name fails at everything.
BROKEN = "broken"
MODEL = ModelKey(family="vp", schedule="cosine", prediction="noise")

# Workers cannot import this file: what is defined here travels with its code.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Fake(Evaluator):
    """Does what the first step's time says; otherwise returns noise."""

    def __init__(self, folder: str = "") -> None:
        self.folder = Path(folder)

    def evaluate(self, task: SampleTask) -> Outcome:
        if str(self.folder) == BROKEN:
            raise RuntimeError("the device is lost")
        time_ = task.plan.steps[0].time
        if time_ in ACTIONS:
            ACTIONS[time_](self, task)
        indices = [b * task.block_size + i for b in task.blocks for i in range(task.block_size)]
        x = draw(task.seed, task.stream, indices, (64,))
        rows = {"x": x.numpy(), "y": (x @ x.T).numpy(), "threads": np.array([_threads()])}
        return Outcome(task.id, rows=rows, forward_equivalents=float(task.id))


def _threads() -> int:
    return torch.get_num_threads()


def _infeasible(_: Fake, task: SampleTask) -> None:
    raise Infeasible(f"non-finite samples\n of task {task.id}")


def _exhaust(_: Fake, __: SampleTask) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def _bug(_: Fake, __: SampleTask) -> None:
    raise ZeroDivisionError("a bug in the evaluator")


def _local_error(_: Fake, __: SampleTask) -> None:
    class Odd(Exception):
        def __init__(self, *, text: str) -> None:
            super().__init__(text)

    raise Odd(text="cannot be rebuilt")


def _die(_: Fake, __: SampleTask) -> None:
    os._exit(1)


def _die_once(fake: Fake, _: SampleTask) -> None:
    try:
        (fake.folder / "died").touch(exist_ok=False)
    except FileExistsError:
        return
    os._exit(1)


def _hang(_: Fake, __: SampleTask) -> None:
    time.sleep(60)


def _pause(_: Fake, __: SampleTask) -> None:
    time.sleep(1.5)


def _devices(_: Fake, __: SampleTask) -> None:
    raise Infeasible(f"devices: {os.environ.get('CUDA_VISIBLE_DEVICES')!r}")


def _quit(_: Fake, __: SampleTask) -> None:
    sys.exit(0)


def _interrupt(_: Fake, __: SampleTask) -> None:
    raise KeyboardInterrupt


INFEASIBLE, FULL, BUG, ODD, DIE, DIE_ONCE, HANG, DEVICES = (float(k) for k in range(101, 109))
QUIT, INTERRUPT, PAUSE = 109.0, 110.0, 111.0
ACTIONS: dict[float, Callable[[Fake, SampleTask], None]] = {
    INFEASIBLE: _infeasible,
    FULL: _exhaust,
    BUG: _bug,
    ODD: _local_error,
    DIE: _die,
    DIE_ONCE: _die_once,
    HANG: _hang,
    DEVICES: _devices,
    QUIT: _quit,
    INTERRUPT: _interrupt,
    PAUSE: _pause,
}


def task(k: int, time_: float = 1.0) -> SampleTask:
    step = StepPlan(time=time_, log_snr=-1.0, next_log_snr=1.0)
    plan = Plan(model=MODEL, start_scale=1.0, steps=(step,), macs=3, full_macs=4, memory=0)
    return SampleTask(k, plan, 7, Stream.SEARCH, (k, k + 1), 5, frozenset({"x"}))


def drained(executor: Executor, count: int) -> dict[int, Outcome]:
    """All outcomes by id; fails rather than hangs."""
    end, outcomes = time.monotonic() + 120, []
    while len(outcomes) < count and time.monotonic() < end:
        got = executor.wait(10)
        outcomes += got
    assert sorted(o.id for o in outcomes) == sorted({o.id for o in outcomes})
    assert executor.wait(0) == []
    return {outcome.id: outcome for outcome in outcomes}


def same(a: Outcome, b: Outcome) -> bool:
    return (
        (a.id, a.reason, a.forward_equivalents) == (b.id, b.reason, b.forward_equivalents)
        and a.rows.keys() == b.rows.keys()
        and all(np.array_equal(a.rows[name], b.rows[name]) for name in a.rows)
    )


@pytest.fixture(scope="module")
def pool(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayExecutor]:
    """Two workers that most tests share, so that each also runs after one that killed some."""
    folder = tmp_path_factory.mktemp("pool")
    factory = functools.partial(Fake, str(folder))
    with RayExecutor(factory, count=2, max_retries=1, time_limit=4) as executor:
        yield executor


def test_outcomes_do_not_depend_on_the_executor(pool):
    tasks = [task(k, INFEASIBLE if k % 4 == 1 else 1.0) for k in range(12)]
    results = []
    with InProcessExecutor(Fake) as local, RayExecutor(Fake, count=1) as single:
        for executor in (local, single, pool):
            for one in tasks:
                executor.submit(one)
            results.append(drained(executor, len(tasks)))
        assert [executor.size for executor in (local, single, pool)] == [1, 1, 2]
    for other in results[1:]:
        assert all(same(results[0][k], other[k]) for k in range(12))
    assert results[0][0].rows["x"].shape == (10, 64)
    assert {int(o.rows["threads"][0]) for r in results for o in r.values() if o.rows} == {1}
    # Rows belong to the driver: they may be changed, and stay when Ray goes.
    results[2][0].rows["x"][:] = 0


@pytest.mark.parametrize("kind", ["local", "ray"])
def test_infeasible_and_out_of_memory_have_a_reason(pool, kind):
    executor = InProcessExecutor(Fake) if kind == "local" else pool
    for k, time_ in enumerate([INFEASIBLE, FULL, 1.0]):
        executor.submit(task(k, time_))
    outcomes = drained(executor, 3)
    assert outcomes[0].reason == "non-finite samples of task 0"
    assert outcomes[1].reason == "out of memory: CUDA out of memory"
    assert outcomes[2].reason is None
    # What the evaluator could not count is charged as if it had run to its end.
    assert outcomes[0].forward_equivalents == outcomes[1].forward_equivalents == 10 * 3 / 4
    assert not outcomes[0].rows
    assert all(outcome.seconds > 0 for outcome in outcomes.values())


RAISED = {
    BUG: r"ZeroDivisionError: a bug in the evaluator \(.*, line \d+\)",
    ODD: r"Odd: cannot be rebuilt \(.*, line \d+\)",
    QUIT: r"SystemExit: 0 \(.*, line \d+\)",
    INTERRUPT: r"KeyboardInterrupt:  \(.*, line \d+\)",
}


@pytest.mark.parametrize(
    "time_", [INTERRUPT, *(pytest.param(one, marks=pytest.mark.soak) for one in (BUG, ODD, QUIT))]
)
def test_what_an_evaluator_raises_on_ray_ends_nothing(pool, time_):
    for k, one in enumerate([time_, 1.0]):
        pool.submit(task(k, one))
    outcomes = drained(pool, 2)
    assert re.fullmatch(RAISED[time_] + r" \(2 times\)", outcomes[0].reason)
    assert outcomes[0].failure == "raised"
    assert not outcomes[0].rows
    assert outcomes[1].reason is None


@pytest.mark.parametrize("time_", [BUG, ODD, QUIT])
def test_what_an_evaluator_raises_in_process_ends_nothing(caplog, time_):
    with InProcessExecutor(Fake) as executor:
        for k, one in enumerate([time_, 1.0]):
            executor.submit(task(k, one))
        outcomes = drained(executor, 2)
    assert re.fullmatch(RAISED[time_], outcomes[0].reason)
    assert outcomes[0].failure == "raised"
    assert outcomes[1].reason is None
    assert len([r for r in caplog.records if "is begun again" in r.getMessage()]) == 1


def test_an_interrupt_in_process_is_the_users():
    with InProcessExecutor(Fake) as executor:
        executor.submit(task(0, INTERRUPT))
        with pytest.raises(KeyboardInterrupt):
            executor.wait()


def test_a_fresh_start_of_the_evaluator_mends_what_was_its_own_trouble():
    built = []

    def factory() -> Evaluator:
        built.append(1)
        return Fake(BROKEN if len(built) == 1 else "")

    with InProcessExecutor(factory) as executor:
        executor.submit(task(0))
        assert executor.wait()[0].reason is None
    assert len(built) == 2


def test_the_model_is_built_anew_after_out_of_memory():
    built = []

    def factory() -> Evaluator:
        built.append(1)
        return Fake()

    with InProcessExecutor(factory) as executor:
        assert not built
        for k, time_ in enumerate([1.0, FULL, 1.0, 1.0]):
            executor.submit(task(k, time_))
        drained(executor, 4)
    assert len(built) == 2


def test_threads_are_given_back():
    torch.set_num_threads(2)
    try:
        with InProcessExecutor(Fake) as executor:
            executor.submit(task(0))
            assert executor.wait()[0].rows["threads"][0] == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_a_worker_that_dies_once_is_restarted_and_its_task_done(pool):
    for k in range(20, 26):
        pool.submit(task(k, DIE_ONCE if k == 21 else 1.0))
    outcomes = drained(pool, 6)
    with InProcessExecutor(Fake) as local:
        for k in range(20, 26):
            local.submit(task(k))
            assert same(outcomes[k], local.wait()[0])


@pytest.mark.soak  # it waits for limits to pass
def test_what_always_dies_or_hangs_becomes_infeasible(pool, capsys):
    for k, time_ in enumerate([DIE, HANG, 1.0]):
        pool.submit(task(k, time_))
    outcomes = drained(pool, 3)
    assert outcomes[0].reason.startswith("worker died: ")
    assert outcomes[0].reason.endswith("(2 times)")
    assert "\n" not in outcomes[0].reason
    assert outcomes[1].reason == "ran for longer than 4 s (2 times)"
    assert [outcomes[k].failure for k in range(3)] == ["worker", "time", None]
    assert outcomes[0].forward_equivalents == outcomes[1].forward_equivalents == 7.5
    assert outcomes[2].reason is None
    assert capsys.readouterr().out == ""  # standard output belongs to --json


@pytest.mark.soak
def test_a_costlier_task_may_take_longer(ray_cluster):
    with RayExecutor(Fake, count=1, max_retries=0, time_limit=1, limited_cost=2.5) as executor:
        executor.submit(task(0, PAUSE))  # of 7.5 forward equivalents
        assert drained(executor, 1)[0].reason is None
    with RayExecutor(Fake, count=1, max_retries=0, time_limit=1) as executor:
        executor.submit(task(0, PAUSE))
        assert drained(executor, 1)[0].reason == "ran for longer than 1 s (1 times)"


def test_wait_keeps_its_timeout(ray_cluster):
    with RayExecutor(Fake, count=1) as executor:
        assert executor.wait() == []
        executor.submit(task(0, HANG))
        start = time.monotonic()
        assert executor.wait(0.2) == []
        assert time.monotonic() - start < 5
    with pytest.raises(RuntimeError, match="closed"):
        executor.submit(task(1))
    executor.close()


class Broken(Evaluator):
    """Fails while it is built."""

    def __init__(self, how: str) -> None:
        if how == "user":
            raise UserError("model: no such file; check the path")
        if how == "memory":
            raise MemoryError
        os._exit(1)

    def evaluate(self, task: SampleTask) -> Outcome:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("user", "model: no such file; check the path"),
        ("memory", "out of memory while the model was loaded"),
    ],
)
def test_a_model_that_cannot_be_built_is_the_users_business(how, message):
    with InProcessExecutor(functools.partial(Broken, how)) as executor:
        executor.submit(task(0))
        with pytest.raises(UserError, match=message):
            executor.wait()


def test_workers_that_die_while_they_load_are_not_restarted_for_ever(ray_cluster):
    with RayExecutor(functools.partial(Broken, "exit"), count=1, max_retries=0) as executor:
        executor.submit(task(0))
        with pytest.raises(UserError, match="failed 1 times in a row loading the model"):
            executor.wait()


def test_a_worker_that_lacks_a_module_says_so_at_once(ray_cluster, monkeypatch):
    only_here = types.ModuleType("only_here")
    exec("def factory(): pass", only_here.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", only_here)
    with RayExecutor(only_here.factory, count=1) as executor:
        executor.submit(task(0))
        with pytest.raises(UserError, match=r"none can start \(.*No module named 'only_here'"):
            executor.wait()


class Devices(Evaluator):
    """Returns the devices that its worker sees, once as many tasks run as shall meet."""

    def __init__(self, folder: str, together: int) -> None:
        self.folder, self.together = Path(folder), together

    def evaluate(self, task: SampleTask) -> Outcome:
        (self.folder / str(task.id)).touch()
        end = time.monotonic() + 30
        while len(list(self.folder.iterdir())) < self.together and time.monotonic() < end:
            time.sleep(0.01)
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
        return Outcome(task.id, rows={"seen": np.frombuffer(seen.encode(), dtype=np.uint8)})


def test_workers_without_a_gpu_see_none(pool):
    pool.submit(task(0, DEVICES))
    assert pool.wait(30)[0].reason == "devices: ''"


@pytest.mark.soak
@pytest.mark.parametrize(("gpus", "expected"), [(1, ["0", "1"]), (0.5, ["0", "0"])])
def test_workers_see_the_devices_that_they_were_given(ray_cluster, tmp_path, gpus, expected):
    factory = functools.partial(Devices, str(tmp_path), 2)
    with RayExecutor(factory, count=2, num_gpus=gpus) as executor:
        executor.submit(task(0))
        executor.submit(task(1))
        outcomes = drained(executor, 2)
    assert sorted(o.rows["seen"].tobytes().decode() for o in outcomes.values()) == expected


TWO_GPUS = """
import functools, json, sys
sys.path.insert(0, {folder!r})
import fakes
from autosearch.engine.workers.ray_cluster import connect
fakes.cloudpickle.register_pickle_by_value(fakes)
connect(num_cpus=2, num_gpus=2)
factory = functools.partial(fakes.Devices, {meeting!r}, 2)
with fakes.RayExecutor(factory, count=2, num_gpus=1) as executor:
    for k in (0, 1):
        executor.submit(fakes.task(k))
    outcomes = fakes.drained(executor, 2)
print(json.dumps(sorted(o.rows["seen"].tobytes().decode() for o in outcomes.values())))
"""


@pytest.mark.soak
def test_workers_see_their_devices_also_where_ray_is_told_to_hide_none(tmp_path):
    (tmp_path / "meeting").mkdir()
    (tmp_path / "fakes.py").write_text(Path(__file__).read_text())
    text = TWO_GPUS.format(folder=str(tmp_path), meeting=str(tmp_path / "meeting"))
    switch = {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}
    assert json.loads(in_its_own_process(text, switch)) == ["0", "1"]


def in_its_own_process(text: str, variables: dict[str, str], cwd: Path | None = None) -> str:
    """Standard output of a program that starts a Ray of its own."""
    ours = ("RAY_", "AUTOSEARCH_")
    left = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    result = subprocess.run(
        [sys.executable, "-P", "-c", text],
        env={**left, **variables},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


OWN_RAY = """
import functools, json, os, sys
sys.path.insert(0, {folder!r})
import ray, fakes
from autosearch.engine.workers import make_executor
fakes.cloudpickle.register_pickle_by_value(fakes)
factory = functools.partial(fakes.Fake, {folder!r})
with make_executor(factory, count=1, cpus=1, gpus=0, kind="ray") as executor:
    executor.submit(fakes.task(0))
    outcomes = fakes.drained(executor, 1)
    dashboard = ray.nodes()[0].get("dashboard_url")
sums = [float(outcome.rows["x"].sum()) for outcome in outcomes.values()]
print(json.dumps({{"sums": sums, "up": ray.is_initialized(), "dashboard": dashboard}}))
"""


@pytest.mark.soak
def test_a_ray_of_our_own_starts_and_stops_and_keeps_standard_output_clean(tmp_path):
    (tmp_path / "fakes.py").write_text(Path(__file__).read_text())
    # Modules that lie where the command is given are none that it would import.
    working = tmp_path / "working"
    working.mkdir()
    for name in ("statistics", "optuna", "autosearch", "random", "torch", "ray"):
        (working / f"{name}.py").write_text("raise RuntimeError('not this one')")
    text = OWN_RAY.format(folder=str(tmp_path))
    data = json.loads(in_its_own_process(text, {"HOME": "/proc/1/not-writable"}, cwd=working))
    assert len(data["sums"]) == 1
    assert not data["up"]
    assert not data["dashboard"]
