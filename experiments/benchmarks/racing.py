"""How often races stop a candidate wrongly, and what they save, beside a plain t interval's.

``python -m autosearch.experiments.benchmarks.racing [--races 1000]`` prints the tables of
``docs/results/racing.md``.

Wrong: a candidate is stopped that none of its rivals is better than. Here all have the same true
value, and differ in the distribution of a sample about it. Savings: candidates and rivals are
normal, their true values spread exponentially above the best one.
"""

import argparse
import itertools
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from autosearch._typing import Array, Rng
from autosearch.engine.paired_bound import Bound, Tail, surely_worse
from autosearch.engine.racing import Race
from autosearch.objectives import Estimate, block_count, find
from autosearch.objectives.frechet import FrechetReference, leave_one_out
from autosearch.objectives.jackknife import from_leave_one_out, mean_estimate

__all__ = ["BOUNDS", "CASES", "Case", "saved", "wrong_stops"]

Law = Callable[[Rng, tuple[int, ...]], Array]
Measure = Callable[[Array, int], Estimate]
_SPENT = 0.5


def t_interval(difference: float, own: Array, rival: Array, *, tail: Tail, level: float) -> bool:
    """What races asked before: a one-sided t interval of the paired difference, at half of a level.

    ``tail`` is not looked at.
    """
    paired = own - rival
    error = paired.std(ddof=1) / math.sqrt(len(paired))
    return bool(difference > error * stdtrit(len(paired) - 1, 1 - _SPENT * level))


BOUNDS: dict[str, Bound] = {"t interval": t_interval, "now": surely_worse}


def _lognormal(width: float) -> Law:
    return lambda rng, shape: np.exp(width * rng.normal(size=shape)) - math.exp(width**2 / 2)


def _outliers(size: float) -> Law:
    """Standard normal, and 1% that are larger by so much; of mean zero."""
    return lambda rng, shape: rng.normal(size=shape) + size * ((rng.random(shape) < 0.01) - 0.01)


def _t(freedom: float) -> Law:
    return lambda rng, shape: rng.standard_t(freedom, size=shape)


# Distributions of one sample about the true value, which is to be small.
LAWS: dict[str, Law] = {
    "none": lambda rng, shape: np.zeros(shape),
    "normal": lambda rng, shape: rng.normal(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
    "chi2(1)": lambda rng, shape: rng.normal(size=shape) ** 2 - 1,
    "lognormal(1)": _lognormal(1.0),
    "lognormal(1.5)": _lognormal(1.5),
    "-lognormal(1)": lambda rng, shape: -_lognormal(1.0)(rng, shape),
    "t(3)": _t(3.0),
    "t(2.5)": _t(2.5),
    "1% at 10": _outliers(10.0),
    "1% at 30": _outliers(30.0),
    "1% at 100": _outliers(100.0),
}
# Rivals of all kinds in one search.
_MIXED = ("normal", "lognormal(1)", "1% at 100", "t(2.5)", "exponential", "1% at 30", "chi2(1)")


@dataclass(frozen=True)
class Case:
    """A race that is repeated.

    Attributes:
        candidate: the distribution of its samples.
        rivals: the distribution of theirs; ``mixed``: in turn all kinds.
        count: how many rivals.
        rungs: numbers of samples.
        multiple: of which the samples of a block are one; 0: a sample is a block of its own, of
            which each rung has ``blocks``, and as many more come with each later rung.
        measure: ``mean`` of the samples, or ``frechet``: a Frechet distance of four features.
        objectives: how many are measured, all alike.
    """

    candidate: str
    rivals: str
    count: int = 10
    rungs: tuple[int, ...] = (100, 200, 400)
    multiple: int = 1
    blocks: int = 20
    measure: str = "mean"
    objectives: int = 1

    @property
    def unit(self) -> str:
        """What follows the distribution, and in how many blocks."""
        if not self.multiple:
            return f"{self.blocks} blocks"
        return f"samples, {block_count(self.rungs[0], self.multiple)} blocks first"

    def results(self, rng: Rng, truths: Array) -> Iterator[list[dict[str, Estimate]]]:
        """Estimates at each rung of the candidate and its rivals, given their true values."""
        kinds = [self.candidate]
        for i in range(self.count):
            kinds.append(_MIXED[i % len(_MIXED)] if self.rivals == "mixed" else self.rivals)
        names = _OBJECTIVES[: self.objectives]
        for kind, truth in zip(kinds, truths, strict=True):
            columns = [self._estimates(LAWS[kind], rng, float(truth)) for _ in names]
            yield [
                {"nfe": Estimate(5.0), **dict(zip(names, row, strict=True))}
                for row in zip(*columns, strict=True)
            ]

    def _estimates(self, law: Law, rng: Rng, truth: float) -> list[Estimate]:
        if not self.multiple:
            return self._of_blocks(law, rng, truth)
        counts = [block_count(samples, self.multiple) for samples in self.rungs]
        if self.measure == "mean":
            values = truth + law(rng, (self.rungs[-1],))
            each = zip(self.rungs, counts, strict=True)
            return [mean_estimate(values[:samples], blocks) for samples, blocks in each]
        # Of mean and covariance as the candidate's; the distance knows no more of them.
        wide = law(np.random.default_rng(0), (100_000,)).std()
        rows = 0.5 + law(rng, (self.rungs[-1], 4)) / wide
        found = []
        for samples, blocks in zip(self.rungs, counts, strict=True):
            theta, without = leave_one_out(rows[:samples], blocks, _REFERENCE)
            found.append(from_leave_one_out(theta, without, corrected=True))
        return found

    def _of_blocks(self, law: Law, rng: Rng, truth: float) -> list[Estimate]:
        more = np.diff([0, *self.rungs])
        drawn = law(rng, (len(self.rungs), self.blocks)) * np.sqrt(more)[:, None]
        sums = drawn.cumsum(axis=0) * math.sqrt(self.rungs[0])
        means = truth + sums / np.array(self.rungs)[:, None]
        return [mean_estimate(row, self.blocks) for row in means]


_OBJECTIVES = ("teacher_mse", "fid", "kid")
_REFERENCE = FrechetReference.of(np.zeros(4), np.eye(4))
CASES = (
    Case("normal", "normal"),
    Case("normal", "exponential"),
    Case("normal", "chi2(1)"),
    Case("normal", "lognormal(1)"),
    Case("normal", "lognormal(1.5)"),
    Case("normal", "t(2.5)"),
    Case("t(3)", "t(3)"),
    Case("normal", "1% at 10"),
    Case("normal", "1% at 100", count=3),
    Case("normal", "1% at 100"),
    Case("normal", "1% at 100", count=30),
    Case("normal", "mixed", count=3),
    Case("normal", "mixed"),
    Case("normal", "mixed", count=30),
    Case("-lognormal(1)", "normal"),
    Case("lognormal(1.5)", "lognormal(1.5)"),
    Case("none", "exponential", rungs=(100, 400), multiple=10),
    Case("none", "mixed", rungs=(50, 100, 200, 400)),
    Case("normal", "1% at 100", objectives=2),
    Case("normal", "lognormal(1.5)", multiple=0, blocks=10),
    Case("none", "exponential", count=30, multiple=0, blocks=10),
    Case("normal", "1% at 100", count=3, rungs=(400, 1200, 4000), multiple=0),
    Case("normal", "1% at 100", rungs=(400, 1200, 4000), multiple=0),
    Case("none", "mixed", count=5, rungs=(400, 1200, 4000), multiple=0),
    Case("none", "mixed", rungs=(400, 1200, 4000), multiple=0),
    Case("normal", "exponential", rungs=(100, 200, 400), measure="frechet"),
    Case("normal", "lognormal(1)", rungs=(100, 200, 400), measure="frechet"),
)
# True values above the best one's, in standard deviations of a sample, on average.
SPREADS = (0.3, 1.0, 3.0)


def _races(case: Case, rng: Rng, truths: Array) -> list[float]:
    """For each bound, the share of samples that its race saves of one candidate."""
    candidate, *rivals = case.results(rng, truths)
    objectives = [find(name)() for name in (*_OBJECTIVES[: case.objectives], "nfe")]
    shares = []
    for bound in BOUNDS.values():
        race = Race(case.rungs, objectives, bound=bound)
        for number, reached in enumerate(rivals):
            race.tell(number, reached)
        ended = next(
            samples
            for rung, samples in enumerate(case.rungs)
            if race.stops(candidate[rung], rung, before=case.count)
        )
        shares.append(1 - ended / case.rungs[-1])
    return shares


def wrong_stops(case: Case, *, races: int, seed: int = 0) -> dict[str, float]:
    """The share of races in which a candidate as good as all of its rivals is stopped."""
    even = np.zeros(1 + case.count)
    shares = [_races(case, np.random.default_rng([seed, number]), even) for number in range(races)]
    return dict(zip(BOUNDS, (np.array(shares) > 0).mean(axis=0).tolist(), strict=True))


def saved(case: Case, spread: float, *, races: int, seed: int = 0) -> dict[str, float]:
    """The share of samples that races save, of candidates like the rivals that were told before."""
    shares = []
    for number in range(races):
        rng = np.random.default_rng([seed, number])
        truths = spread * rng.exponential(size=1 + case.count)
        shares.append(_races(case, rng, truths))
    return dict(zip(BOUNDS, np.array(shares).mean(axis=0).tolist(), strict=True))


def _wrong_table(races: int) -> Iterator[str]:
    yield "| candidate | rivals | distribution of | rungs | t interval | now |"
    yield "|---|---|---|---|---:|---:|"
    for case in CASES:
        # A distance of features takes fifty times as long as a mean.
        some = races if case.measure == "mean" else max(races // 5, 1)
        found = wrong_stops(case, races=some)
        of = f"features, Frechet distance ({some} races)" if case.measure != "mean" else case.unit
        many = f", {case.objectives} objectives" if case.objectives > 1 else ""
        cells = [
            case.candidate,
            f"{case.count} {case.rivals}{many}",
            of,
            ", ".join(map(str, case.rungs)),
            *(f"{100 * share:.1f}%" for share in found.values()),
        ]
        yield f"| {' | '.join(cells)} |"


def _saved_table(races: int) -> Iterator[str]:
    yield "| rungs | rivals | spread | t interval | now | of that |"
    yield "|---|---:|---:|---:|---:|---:|"
    for rungs in ((100, 200, 400), (400, 1200, 4000)):
        for count in (10, 30):
            for spread in SPREADS:
                case = Case("normal", "normal", count=count, rungs=rungs)
                plain, now = saved(case, spread, races=races).values()
                yield (
                    f"| {', '.join(map(str, rungs))} | {count} | {spread:g} | {100 * plain:.1f}% | "
                    f"{100 * now:.1f}% | {now / plain:.0%} |"
                )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Simulate races.")
    parser.add_argument("--races", type=int, default=1000, help="of each row")
    races = parser.parse_args().races
    for line in itertools.chain(_wrong_table(races), [""], _saved_table(max(races // 4, 1))):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
