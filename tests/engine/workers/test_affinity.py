"""Which worker gets which task."""

from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan.plan import Plan, StepPlan
from autosearch.engine.workers.affinity import Seen, Waiting, task_keys, waiting_choice
from autosearch.engine.workers.base import FitTask, SampleTask
from autosearch.recipe import ModelKey

MODEL = ModelKey(family="vp", schedule="cosine", prediction="noise")


def task(
    *times: float, blocks: tuple[int, ...] = (0,), needs: str = "x", seed: int = 0
) -> SampleTask:
    steps = tuple(
        StepPlan(time=time, log_snr=-time, next_log_snr=-after)
        for time, after in zip(times, (*times[1:], 0.0), strict=True)
    )
    plan = Plan(model=MODEL, start_scale=1.0, steps=steps, macs=3, full_macs=4, memory=0)
    return SampleTask(0, plan, seed, Stream.SEARCH, blocks, 5, frozenset({needs}))


def waiting(*times: float) -> Waiting:
    return Waiting(task_keys(task(*times)))


def seen(*tasks: SampleTask) -> Seen:
    found = Seen()
    for one in tasks:
        found.add(task_keys(one))
    return found


def test_a_task_goes_to_the_worker_that_knows_most_of_it():
    workers = [seen(), seen(task(9, 7, 5)), seen(task(9, 7, 4, 2))]
    assert waiting_choice([waiting(9, 7, 4, 1)], workers) == (0, 2)
    assert waiting_choice([waiting(9, 7, 5)], workers) == (0, 1)
    assert waiting_choice([waiting(8, 7, 5)], workers) == (0, 0)


def test_an_idle_worker_takes_the_task_that_it_knows_most_of():
    tasks = [waiting(8, 3), waiting(9, 3), waiting(9, 7, 2), waiting(9, 7, 1)]
    assert waiting_choice(tasks, [seen(task(9, 7, 5))]) == (2, 0)
    assert [one.passed_over for one in tasks] == [1, 1, 0, 0]
    # Where nobody knows anything, the oldest goes first.
    assert waiting_choice(tasks, [seen()]) == (0, 0)


def test_no_task_is_passed_over_for_ever():
    tasks = [waiting(8, 3), waiting(9, 7, 2)]
    worker = seen(task(9, 7, 5))
    chosen = [waiting_choice(tasks, [worker])[0] for _ in range(6)]
    assert chosen == [1, 1, 1, 1, 0, 0]


def test_noise_and_blocks_count_too():
    worker = seen(task(9, 7, blocks=(0, 1, 2)))
    assert worker.shared(task_keys(task(9, 7, blocks=(0,)))) == 2
    assert worker.shared(task_keys(task(9, 7, blocks=(3,)))) == 0
    assert worker.shared(task_keys(task(9, 7, seed=1))) == 0
    assert worker.shared(task_keys(task(9, 5))) == 1
    assert task_keys(task(9, 7, needs="latency")) == ()
    assert task_keys(FitTask(0, "ddim", 0)) == ()


def test_what_a_worker_has_seen_is_bounded():
    worker = Seen()
    worker.add(range(30_000))
    assert worker.shared(range(30_000)) == 10_000
    assert worker.shared([29_999, 0]) == 1
