"""How often 95% intervals hold the truth, by simulation: shares, skewed FID, and differences.

``coverage`` does the same for FID on a real model's samples, whose features are bounded. Here the
truth is known in closed form, and distributions are made as awkward as one likes.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import special

from autosearch._typing import Array, Rng
from autosearch.objectives import Estimate, Fid, compare
from autosearch.objectives.jackknife import block_count

__all__ = ["intervals"]

_CLASSES = 10
_SHARES = (0.5, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999)
_PAIRS = ((0.5, 0.5), (0.95, 0.9), (0.99, 0.99), (0.999, 0.99), (0.9999, 0.999))
_CORRELATIONS = (0.0, 0.9, 0.995)
_SAMPLES = (100, 400, 1000, 4000)
_FEATURES = 8
# Coverage is known to a third of a per cent at 5,000 sets, and to a per cent at 500.
_SHARE_SETS, _FID_SETS = 5000, 500

Draw = Callable[[Rng, tuple[int, int]], Array]


def _student(freedom: int) -> Draw:
    """Student's distribution at variance 1; its moments exist below so many degrees of freedom."""
    spread = np.sqrt(freedom / (freedom - 2))
    return lambda rng, shape: rng.standard_t(freedom, shape) / spread


def _lognormal(rng: Rng, shape: tuple[int, int]) -> Array:
    """Of sigma 1, centred, of variance 1: its fourth moment is 114 times that of a Gaussian's."""
    spread = np.sqrt((np.e - 1) * np.e)
    return np.asarray((np.exp(rng.standard_normal(shape)) - np.exp(0.5)) / spread)


# Features [N, d], independent, of mean 0 and variance 1.
_FAMILIES: dict[str, Draw] = {
    "Gaussian": lambda rng, shape: rng.standard_normal(shape),
    "exponential": lambda rng, shape: rng.standard_exponential(shape) - 1.0,
    "Student, 5 degrees": _student(5),
    "lognormal": _lognormal,
    "Student, 3 degrees": _student(3),
}


def _close(rows: Array) -> Array:
    """A good sampler: 5% too narrow."""
    return np.asarray(0.95 * rows)


def _shifted(rows: Array) -> Array:
    return np.asarray(0.95 * rows + 0.1)


def _collapsed(rows: Array) -> Array:
    """Half of the features at a fifth of their spread."""
    return np.asarray(rows * np.where(np.arange(rows.shape[1]) % 2, 0.2, 1.0))


_SAMPLERS: dict[str, Callable[[Array], Array]] = {
    "close": _close,
    "shifted": _shifted,
    "collapsed": _collapsed,
}
# By sampler, the squared distance to mean 0 and covariance 1.
_TRUTHS = {
    "close": _FEATURES * 0.05**2,
    "shifted": _FEATURES * (0.05**2 + 0.1**2),
    "collapsed": _FEATURES / 2 * 0.8**2,
}


def intervals(*, seed: int = 0) -> dict[str, Any]:
    """Shares of simulated sets whose 95% interval holds the truth, as tables by row and column."""
    rng = np.random.default_rng(seed)
    return {
        "shares": dict(_share_coverage(rng)),
        "differences of shares, 400 samples": dict(_pair_coverage(rng)),
        "fid, 400 samples": dict(_fid_coverage(rng)),
    }


def _share_coverage(rng: Rng) -> Iterator[tuple[str, dict[str, float]]]:
    for samples in _SAMPLES:
        blocks = block_count(samples, _CLASSES)
        yield (
            f"{samples} samples",
            {
                str(share): _held(
                    share, [one.interval() for one in _shares(rng, share, blocks, samples)]
                )
                for share in _SHARES
            },
        )


def _shares(rng: Rng, share: float, blocks: int, samples: int) -> list[Estimate]:
    size = samples // blocks
    means = rng.binomial(size, share, (_SHARE_SETS, blocks)) / size
    return [Estimate(float(row.mean()), tuple(row.tolist()), samples) for row in means]


def _pair_coverage(rng: Rng) -> Iterator[tuple[str, dict[str, float]]]:
    samples, blocks = 400, block_count(400, _CLASSES)
    shape = (_SHARE_SETS // 4, blocks, samples // blocks)
    for a, b in _PAIRS:
        row = {}
        for correlation in _CORRELATIONS:
            common, own = rng.standard_normal((2, *shape))
            other = correlation * common + np.sqrt(1 - correlation**2) * own
            sides = [
                (noise < special.ndtri(share)).mean(axis=2)
                for noise, share in ((common, a), (other, b))
            ]
            pairs = [
                tuple(Estimate(float(x.mean()), tuple(x.tolist()), samples) for x in pair)
                for pair in zip(*sides, strict=True)
            ]
            found = [compare(one, two)[1] for one, two in pairs]
            row[f"noise shared to {correlation}"] = _held(a - b, found)
        yield f"{a} and {b}", row


def _fid_coverage(rng: Rng) -> Iterator[tuple[str, dict[str, float]]]:
    reference = {"features_mean": np.zeros(_FEATURES), "features_cov": np.eye(_FEATURES)}
    blocks = block_count(400, _CLASSES)

    def estimate(rows: Array) -> Estimate:
        return Fid().estimate({"features": rows}, reference, blocks)

    for name, draw in _FAMILIES.items():
        found: dict[str, list[Estimate]] = {sampler: [] for sampler in _SAMPLERS}
        for _ in range(_FID_SETS):
            rows = draw(rng, (400, _FEATURES))
            for sampler, change in _SAMPLERS.items():
                found[sampler].append(estimate(change(rows)))
        row = {s: _held(_TRUTHS[s], [one.interval() for one in found[s]]) for s in _SAMPLERS}
        pairs = zip(found["collapsed"], found["shifted"], strict=True)
        truth = _TRUTHS["collapsed"] - _TRUTHS["shifted"]
        row["collapsed - shifted"] = _held(truth, [compare(a, b)[1] for a, b in pairs])
        near = zip(found["shifted"], found["close"], strict=True)
        truth = _TRUTHS["shifted"] - _TRUTHS["close"]
        row["shifted - close"] = _held(truth, [compare(a, b)[1] for a, b in near])
        yield name, row


def _held(truth: float, found: list[tuple[float, float]]) -> float:
    return float(np.mean([low <= truth <= high for low, high in found]))


def main() -> None:
    """Print the tables."""
    for title, table in intervals().items():
        columns = list(next(iter(table.values())))
        print(f"\n| {title} | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
        for name, row in table.items():
            print(f"| {name} | {' | '.join(f'{100 * row[c]:.1f}%' for c in columns)} |")


if __name__ == "__main__":
    main()
