"""Forms of pruning masks: which sets of sites may go, and how they are drawn and changed."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from autosearch._typing import Rng
from autosearch.errors import UserError
from autosearch.spaces.base import Parameter

__all__ = ["AnySubset", "Intervals", "MaskForm", "Pattern"]

_WHERE = "space.prune"
_MOST_CHOICES = 16
Chosen = Collection[str]


class MaskForm(ABC):
    """A family of subsets of ``names``, which are in execution order."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    @abstractmethod
    def draw(self, rng: Rng) -> list[str]:
        """A random subset."""

    @abstractmethod
    def move(self, chosen: Chosen, rng: Rng) -> list[str]:
        """A subset near by."""

    @abstractmethod
    def mix(self, one: Chosen, other: Chosen, rng: Rng) -> list[str]:
        """A subset between two."""

    @abstractmethod
    def nearest(self, chosen: Chosen) -> list[str]:
        """The subset itself where the form has it, else one near by; deterministic."""

    def box(self) -> Sequence[Parameter]:
        """A few parameters that reach every subset; empty where that takes too many."""
        return ()

    def from_box(self, values: Mapping[str, Any]) -> list[str]:
        """The subset of a point of the box."""
        raise TypeError("this form has no box")

    def order(self, chosen: Chosen) -> list[str]:
        """The names among a set, in order."""
        return [name for name in self.names if name in chosen]


class AnySubset(MaskForm):
    """Any subset of at least and at most so many."""

    def __init__(self, names: Sequence[str], least: int, most: int) -> None:
        super().__init__(names)
        self.least, self.most = least, most

    def draw(self, rng: Rng) -> list[str]:
        size = int(rng.integers(self.least, self.most + 1))
        return self.order([self.names[i] for i in rng.permutation(len(self.names))[:size]])

    def move(self, chosen: Chosen, rng: Rng) -> list[str]:
        """One more, one less, or one for another."""
        moved = set(chosen)
        absent = [name for name in self.names if name not in moved]
        kind = int(rng.integers(3))
        drops = bool(moved) and (kind != 0 or not absent or len(moved) >= self.most)
        adds = bool(absent) and (kind != 1 or len(moved) <= self.least)
        if drops:
            moved.remove(str(rng.choice(self.order(moved))))
        if adds:
            moved.add(str(rng.choice(absent)))
        return self.nearest(moved)

    def mix(self, one: Chosen, other: Chosen, rng: Rng) -> list[str]:
        """What both have stays, and half of what one has."""
        apart = self.order(set(one) ^ set(other))
        kept = {name for name in apart if rng.random() < 0.5}
        return self.nearest((set(one) & set(other)) | kept)

    def nearest(self, chosen: Chosen) -> list[str]:
        """The last ones too many stay, the last ones too few go as well."""
        kept = self.order(chosen)[: self.most]
        absent = [name for name in self.names if name not in kept]
        missing = max(self.least - len(kept), 0)
        return self.order(kept + absent[len(absent) - missing :])

    def box(self) -> Sequence[Parameter]:
        """For each name whether it stays, where there are few."""
        if len(self.names) > _MOST_CHOICES:
            return ()
        return [Parameter(name, "choice", choices=("keep", "prune")) for name in self.names]

    def from_box(self, values: Mapping[str, Any]) -> list[str]:
        return [name for name in self.names if values[name] == "prune"]


class Pattern(MaskForm):
    """Of each group of M neighbours N stay (TinyFusion; Fang et al. 2025), kind by kind.

    Args:
        kinds: the names in each of which groups are counted, such as all attention.
        keep: N.
        group: M.
    """

    def __init__(self, kinds: Sequence[Sequence[str]], keep: int, group: int) -> None:
        super().__init__([name for kind in kinds for name in kind])
        self.groups: list[tuple[str, ...]] = []
        for kind in kinds:
            if len(kind) % group:
                raise UserError(
                    f"{_WHERE}.pattern: groups of {group} do not divide {len(kind)} sites; use a "
                    "divisor"
                )
            self.groups += [tuple(kind[i : i + group]) for i in range(0, len(kind), group)]
        self.options = list(itertools.combinations(range(group), group - keep))

    def draw(self, rng: Rng) -> list[str]:
        return self._subset([int(rng.integers(len(self.options))) for _ in self.groups])

    def move(self, chosen: Chosen, rng: Rng) -> list[str]:
        """Another option in one group."""
        options = self._options(chosen)
        at = int(rng.integers(len(options)))
        if len(self.options) > 1:
            options[at] = (options[at] + int(rng.integers(1, len(self.options)))) % len(
                self.options
            )
        return self._subset(options)

    def mix(self, one: Chosen, other: Chosen, rng: Rng) -> list[str]:
        """Each group from either."""
        pairs = zip(self._options(one), self._options(other), strict=True)
        return self._subset([pair[int(rng.integers(2))] for pair in pairs])

    def nearest(self, chosen: Chosen) -> list[str]:
        return self._subset(self._options(chosen))

    def box(self) -> Sequence[Parameter]:
        """A choice for each group, such as ``1010`` for the first and third of four staying."""
        if len(self.groups) > _MOST_CHOICES:
            return ()
        choices = tuple(self._text(option) for option in self.options)
        return [Parameter(f"group{i}", "choice", choices=choices) for i in range(len(self.groups))]

    def from_box(self, values: Mapping[str, Any]) -> list[str]:
        texts = [self._text(option) for option in self.options]
        return self._subset([texts.index(values[f"group{i}"]) for i in range(len(self.groups))])

    def _text(self, option: Sequence[int]) -> str:
        return "".join("0" if i in option else "1" for i in range(len(self.groups[0])))

    def _options(self, chosen: Chosen) -> list[int]:
        """The option of each group that differs least."""
        found = []
        for group in self.groups:
            gone = {i for i, name in enumerate(group) if name in chosen}
            distances = [len(gone ^ set(option)) for option in self.options]
            found.append(distances.index(min(distances)))
        return found

    def _subset(self, options: Sequence[int]) -> list[str]:
        pairs = zip(self.groups, options, strict=True)
        gone = {group[i] for group, option in pairs for i in self.options[option]}
        return self.order(gone)


class Intervals(MaskForm):
    """At most so many runs of neighbours, as PPCL prunes (Ma et al. 2026).

    There a run keeps one block that learns to stand for it; without recovery it goes as a whole.

    Args:
        count: of runs, at most.
        longest: blocks in a run.
    """

    def __init__(self, names: Sequence[str], count: int, longest: int) -> None:
        super().__init__(names)
        self.count, self.longest = count, longest

    def draw(self, rng: Rng) -> list[str]:
        runs = [
            (int(rng.integers(len(self.names))), int(rng.integers(1, self.longest + 1)))
            for _ in range(int(rng.integers(1, self.count + 1)))
        ]
        return self._subset(runs)

    def move(self, chosen: Chosen, rng: Rng) -> list[str]:
        """A run grows, shrinks or shifts by one, comes or goes."""
        runs = self._runs(chosen)
        kind = int(rng.integers(4))
        if not runs or (kind == 0 and len(runs) < self.count):
            return self._subset([*runs, (int(rng.integers(len(self.names))), 1)])
        at = int(rng.integers(len(runs)))
        start, length = runs.pop(at)
        if kind == 1:
            length += int(rng.choice([-1, 1]))
        elif kind != 0:
            start += int(rng.choice([-1, 1]))
        return self._subset([*runs, (start, length)] if kind else runs)

    def mix(self, one: Chosen, other: Chosen, rng: Rng) -> list[str]:
        """Some of the runs of both."""
        runs = [run for run in self._runs(one) + self._runs(other) if rng.random() < 0.5]
        return self._subset(runs or self._runs(one))

    def nearest(self, chosen: Chosen) -> list[str]:
        return self._subset(self._runs(chosen))

    def box(self) -> Sequence[Parameter]:
        """Start and length of each run; a length of 0 is none, and runs may meet."""
        if 2 * self.count > _MOST_CHOICES:
            return ()
        return [
            parameter
            for i in range(self.count)
            for parameter in (
                Parameter(f"start{i}", "int", 0, len(self.names) - 1),
                Parameter(f"length{i}", "int", 0, self.longest),
            )
        ]

    def from_box(self, values: Mapping[str, Any]) -> list[str]:
        return self._subset(
            [(int(values[f"start{i}"]), int(values[f"length{i}"])) for i in range(self.count)]
        )

    def _runs(self, chosen: Chosen) -> list[tuple[int, int]]:
        """Start and length of the runs of a set."""
        gone = [name in chosen for name in self.names]
        runs, at = [], 0
        for present, group in itertools.groupby(gone):
            length = len(list(group))
            if present:
                runs.append((at, length))
            at += length
        return runs

    def _subset(self, runs: Sequence[tuple[int, int]]) -> list[str]:
        """The longest runs, cut to what is allowed; what met is one run, and cut again."""
        total = len(self.names)
        gone: set[int] = set()
        for start, length in runs:
            first = min(max(start, 0), total - 1)
            gone |= set(range(first, min(first + min(length, self.longest), total)))
        found = self._runs([self.names[i] for i in gone])
        longest = sorted(found, key=lambda run: (-run[1], run[0]))[: self.count]
        kept = {
            i for start, length in longest for i in range(start, start + min(length, self.longest))
        }
        return [self.names[i] for i in sorted(kept)]
