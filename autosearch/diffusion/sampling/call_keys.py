"""The calls of the network that a plan makes, and what each of them depends on.

Two plans whose first steps are equal make equal calls until they part. A call depends on the steps
before it, whole, and on what the network is given at its own step: the time and the branches.
Where that step goes, and how, does not matter yet, nor how guidance weighs the branches.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan.plan import Plan, StepPlan, calls, evaluations, lookups
from autosearch.diffusion.plan.reachability import branch_macs
from autosearch.diffusion.sites.sites import SiteTable
from autosearch.diffusion.solvers import FIRST_ORDER
from autosearch.recipe.actions import feature_site

__all__ = ["Call", "Look", "call_keys", "calls_of"]

# A feature that may be looked up, and by its index the call that may have stored it.
Look = tuple[int, str]


@dataclass(frozen=True)
class Call:
    """One call of the network on a plan's way.

    Attributes:
        key: a digest of everything in the plan that decides the outputs; the noise, the
            condition and the model are no part of it.
        macs: of one sample, whatever gates leave out.
        looks: what it may look up of the calls before it.
        wanted: the features that some later call may look up of this one.
    """

    key: bytes
    macs: int
    looks: frozenset[Look] = frozenset()
    wanted: frozenset[str] = frozenset()


def call_keys(plan: Plan) -> tuple[bytes, ...]:
    """The key of each call, in order.

    Numbers enter with all their digits, of which a plan's identity has nine. Plans with gates
    share nothing with others: their memory forecasts each row for itself, with other roundings.
    """
    artifacts = [(name, artifact.sha256) for name, artifact in plan.artifacts]
    training = plan.training.provenance.key if plan.training else None
    prefix = _digest(b"", plan.start_scale, plan.gated, artifacts, training)
    keys = []
    for step, count in zip(plan.steps, evaluations(plan.steps), strict=True):
        if count:
            keys.append(_digest(prefix, step.time, step.branches))
        if count > 1:  # where an implicit corrector moved the state, by what its step was given
            keys.append(_digest(prefix, _evaluation(step)))
        prefix = _digest(prefix, step)
    return tuple(keys)


def calls_of(plan: Plan, denoiser: Denoiser) -> tuple[Call, ...]:
    """The calls that a plan makes on a model, in order."""
    sites = SiteTable(denoiser.sites)
    steps = calls(plan.steps)
    looks = _looks(steps, sites) if plan.keep else [frozenset[Look]()] * len(steps)
    wanted: list[set[str]] = [set() for _ in steps]
    for index, feature in (look for of_call in looks for look in of_call):
        wanted[index].add(feature)
    return tuple(
        Call(key, branch_macs(step.branches, denoiser.macs, sites), looks[i], frozenset(wanted[i]))
        for i, (key, step) in enumerate(zip(call_keys(plan), steps, strict=True))
    )


def _digest(prefix: bytes, *parts: object) -> bytes:
    """A digest of plain data and frozen dataclasses of it, after a prefix."""
    return hashlib.blake2b(prefix + repr(parts).encode(), digest_size=16).digest()


def _evaluation(step: StepPlan) -> StepPlan:
    """The step without where it goes and how."""
    return replace(
        step, next_log_snr=0.0, update=FIRST_ORDER, corrector=None, eta=0.0, compensation=()
    )


def _looks(steps: Sequence[StepPlan], sites: SiteTable) -> list[frozenset[Look]]:
    """For each call, given by its step, what it may look up: too much rather than too little."""

    @cache
    def stores(index: int, branch: str, feature: str) -> tuple[bool, bool]:
        return _stores(steps[index], branch, feature, sites)

    result = []
    for index, step in enumerate(steps):
        looks: set[Look] = set()
        for branch in step.branches:
            for feature, order in lookups(branch):
                left, counted = order + 1, math.nan
                for earlier in reversed(range(index)):
                    some, every = stores(earlier, branch.name, feature)
                    if some:
                        looks.add((earlier, feature))
                    # A second call at the same time stores in the place of the first.
                    if every and steps[earlier].time != counted:
                        left, counted = left - 1, steps[earlier].time
                    if not left:
                        break
        result.append(frozenset(looks))
    return result


def _stores(step: StepPlan, branch: str, feature: str, sites: SiteTable) -> tuple[bool, bool]:
    """Whether a step's call stores a branch's feature for some of the rows, and for all."""
    for one in step.branches:
        if one.name == branch:
            rows = one.computes(feature_site(feature), sites)
            return any(rows), all(rows)
    return False, False
