"""Which worker takes which task: the one that has sampled most of what the plan begins with."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from autosearch.diffusion.sampling.call_keys import call_keys
from autosearch.engine.workers.base import SampleTask, Task

__all__ = ["Seen", "Waiting", "task_keys", "waiting_choice"]

# So many calls of a worker are remembered here; its own store is bounded by bytes.
_MOST = 10_000
# So often a task may be passed over for one that fits a worker better.
_PATIENCE = 4


def task_keys(task: Task) -> tuple[object, ...]:
    """What stands for each call of a task's plan on its noise; empty for what is no sampling.

    Blocks are told apart by the first: a task that has more of them has seen those of a shorter.
    """
    if not isinstance(task, SampleTask) or not task.blocks or "latency" in task.needs:
        return ()
    noise = (task.seed, task.stream, task.blocks[0], task.block_size)
    return tuple((key, noise) for key in call_keys(task.plan))


@dataclass
class Seen:
    """The calls that a worker made or knew, the latest of them."""

    keys: OrderedDict[object, None] = field(default_factory=OrderedDict)

    def add(self, keys: Sequence[object]) -> None:
        """Take in the calls of a task that it is given."""
        for key in keys:
            self.keys[key] = None
            self.keys.move_to_end(key)
        while len(self.keys) > _MOST:
            self.keys.popitem(last=False)

    def shared(self, keys: Sequence[object]) -> int:
        """How many calls of a task the worker has made."""
        return sum(key in self.keys for key in keys)


@dataclass(eq=False)
class Waiting:
    """A waiting task's calls, and how often another was preferred."""

    keys: tuple[object, ...]
    passed_over: int = 0


def waiting_choice(waiting: Sequence[Waiting], idle: Sequence[Seen]) -> tuple[int, int]:
    """Which task goes to which idle worker, by their places: the two that share most.

    Among equals the oldest task goes to the first worker. A task is passed over a few times only.
    """
    overdue = waiting[0].passed_over >= _PATIENCE
    candidates = waiting[:1] if overdue else waiting
    pairs = ((i, j) for i in range(len(candidates)) for j in range(len(idle)))
    best = max(pairs, key=lambda pair: idle[pair[1]].shared(candidates[pair[0]].keys))
    for one in waiting[: best[0]]:
        one.passed_over += 1
    return best
