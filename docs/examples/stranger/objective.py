"""Objectives of one's own: one that is measured on samples, one that a plan declares."""

from collections.abc import Mapping

import numpy as np

from autosearch.diffusion.plan.plan import Plan
from autosearch.objectives.base import Estimate, Objective, Rows
from autosearch.objectives.jackknife import cut, from_leave_one_out
from autosearch.objectives.rows import reference_rows, sample_rows


class MeanGap(Objective):
    """Squared distance between the mean of the samples' features and that of real data.

    The plain value is too large by the variance of the mean, which falls with the number of
    samples: the jackknife takes that off, and gives the error.
    """

    name = "mean_gap"
    summary = "squared distance of the features' means, corrected for the number of samples"
    unit = "squared distance"
    needs = frozenset({"features"})  # the rows that workers bring: [N, d]

    def min_samples(self, widths: Mapping[str, int]) -> int:
        return 40

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        x = sample_rows(rows, "features", objective=self.name)
        wanted = reference_rows(reference, "features_mean", objective=self.name, columns=x.shape[1])
        sums = cut(x, blocks).sum(axis=1)  # [blocks, d]
        left = len(x) - len(x) // blocks
        means = (x.sum(axis=0) - sums) / left  # without each block
        without = np.square(means - wanted).sum(axis=1)
        whole = float(np.square(x.mean(axis=0) - wanted).sum())
        return from_leave_one_out(whole, without, corrected=True)


class EarlySteps(Objective):
    """Steps in the noisier half of the schedule; read from the plan, so it needs no samples."""

    name = "early_steps"
    summary = "steps whose log-SNR is below 0"
    unit = "steps"

    def declared(self, plan: Plan) -> float:
        return float(sum(step.log_snr < 0 for step in plan.steps))
