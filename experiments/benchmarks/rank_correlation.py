"""How well few samples order recipes: FID and the distance to a fine trajectory, on the mixture.

``python -m autosearch.experiments.benchmarks.rank_correlation`` prints a table (some minutes):
Spearman's correlation with the FID of 20,000 fresh samples, of 40 recipes of eight steps whose
times vary about even ones in log-SNR, and of the better half of them; medians over seeds.
"""

from statistics import median

import numpy as np
from scipy.stats import spearmanr

from autosearch._typing import Array
from autosearch.baselines import baseline
from autosearch.baselines.fine import teacher
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.trajectory_ends import Gaps
from autosearch.models.mixture import MixtureModel
from autosearch.objectives import Fid, TeacherFd
from autosearch.recipe import Recipe

__all__ = ["rank_correlation"]

_RECIPES = 40
_STEPS = 8
_WIDTH = 0.3  # of the times, in logarithms of the shares that gaps have of the whole
_TEACHER_STEPS = 100
_BLOCKS = 20


def rank_correlation(
    *,
    samples: tuple[int, ...] = (100, 200, 400, 1000, 4000),
    fresh: int = 20_000,
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4),
) -> dict[int, dict[str, list[float]]]:
    """By samples and metric: the correlation over all recipes, and over the better half."""
    runs = [_correlations(samples, fresh, seed) for seed in seeds]
    return {
        count: {
            metric: [median(run[count][metric][half] for run in runs) for half in range(2)]
            for metric in ("fid", "teacher_fd")
        }
        for count in samples
    }


def _correlations(
    samples: tuple[int, ...], fresh: int, seed: int
) -> dict[int, dict[str, tuple[float, float]]]:
    model = MixtureModel.load()
    denoiser = model.denoiser
    few, many = Calibrator(denoiser, seed=seed), Calibrator(denoiser, seed=1000 + seed)
    gaps, rng = Gaps(denoiser.schedule), np.random.default_rng(seed)
    base = baseline(f"dpmpp_2m-logsnr@{_STEPS}", denoiser)
    start = gaps.from_times([step.time for step in base.steps])
    recipes = [
        gaps.apply(base, start + _WIDTH * rng.standard_normal(_STEPS)) for _ in range(_RECIPES)
    ]

    def ends(calibrator: Calibrator, recipe: Recipe, count: int) -> Array:
        return calibrator.states(recipe, count)[-1].x.double().numpy()

    def fid(x: Array) -> float:
        return Fid().estimate({"features": x}, model.reference, _BLOCKS).value

    def teacher_fd(x: Array, wanted: Array) -> float:
        return TeacherFd().estimate({"final": x, "teacher": wanted}, {}, _BLOCKS).value

    truth = np.array([fid(ends(many, recipe, fresh)) for recipe in recipes])
    better = np.argsort(truth)[: _RECIPES // 2]
    result = {}
    for count in samples:
        fine = ends(few, teacher(denoiser, _TEACHER_STEPS), count)
        sampled = [ends(few, recipe, count) for recipe in recipes]
        values = {
            "fid": np.array([fid(x) for x in sampled]),
            "teacher_fd": np.array([teacher_fd(x, fine) for x in sampled]),
        }
        result[count] = {
            metric: (
                float(spearmanr(found, truth).statistic),
                float(spearmanr(found[better], truth[better]).statistic),
            )
            for metric, found in values.items()
        }
    return result


def main() -> None:
    """Print the table."""
    print("| samples | `fid` | `teacher_fd` |\n|---|---|---|")
    for count, row in rank_correlation().items():
        cells = [f"{whole:.2f} ({better:.2f})" for whole, better in row.values()]
        print(f"| {count:,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
