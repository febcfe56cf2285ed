"""The plan: a recipe compiled for one denoiser, as the sampler runs it.

Everything inert is removed, so that two recipes that sample alike have equal plans. The hash of
the plan is a candidate's identity.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any, Literal

from autosearch.diffusion.classifier import ClassifierTerm
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan.recovery import WEIGHTS, Training
from autosearch.diffusion.sites.branches import COND, Branch
from autosearch.diffusion.sites.memory import FeatureMemory, RowMemory
from autosearch.diffusion.solvers import FIRST_ORDER, Corrector, Update
from autosearch.errors import UserError
from autosearch.recipe import Artifact, ModelKey, Recipe, round_float

__all__ = [
    "Plan",
    "StepPlan",
    "calls",
    "check_compatible",
    "evaluations",
    "kept_features",
    "lookups",
    "model_key",
]


@dataclass(frozen=True)
class StepPlan:
    """One step, self-contained.

    Attributes:
        log_snr: half log-SNR, log(alpha/sigma), at its start; may be infinite.
        next_log_snr: half log-SNR at its end; may be infinite.
        branches: the runs of the network, whose weighted sum is the prediction.
        renoise: the branch whose noise stays in the state (CFG++).
        classifier: how far a classifier's gradient moves the prediction.
        rectify: the line ``a v + b`` that takes the network's predictions nearer to what they
            would be if nothing was left out.
        scaling: what a prediction and the state are multiplied with.
        compensation: weights of the last evaluations, newest first, whose sum takes the newest
            one's place.
    """

    time: float
    log_snr: float
    next_log_snr: float
    update: Update = FIRST_ORDER
    corrector: Corrector | None = None
    evaluate: Literal["network", "zero_x0", "average_x0"] = "network"
    eta: float = 0.0
    clip: float | None = None
    branches: tuple[Branch, ...] = (COND,)
    weights: tuple[float, ...] = (1.0,)
    renoise: str | None = None
    classifier: tuple[ClassifierTerm, ...] = ()
    rectify: tuple[float, float] | None = None
    scaling: tuple[float, float] | None = None
    compensation: tuple[float, ...] = ()

    @property
    def order(self) -> int:
        """The order that the step really has."""
        return self.update.order

    @property
    def depth(self) -> int:
        """How many evaluations the step needs, the one at its own start included."""
        updates = [self.update] + ([self.corrector.update] if self.corrector else [])
        back = (-index for update in updates for index in update.used)
        return max(*back, len(self.compensation), 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for hashing; half log-SNRs of nine digits, infinities as text."""
        corrector = self.corrector
        data = {
            "time": self.time,
            "log_snr": _plain(self.log_snr),
            "next_log_snr": _plain(self.next_log_snr),
            "update": self.update.to_list(),
            "corrector": [corrector.kind, corrector.update.to_list()] if corrector else None,
            "evaluate": self.evaluate,
            "eta": self.eta,
            "clip": self.clip,
            "branches": [branch.to_list() for branch in self.branches],
            "weights": self.weights,
            "renoise": self.renoise,
        }
        later = {
            "classifier": [astuple(term) for term in self.classifier],
            "rectify": self.rectify,
            "scaling": self.scaling,
            "compensation": self.compensation,
        }
        return data | {name: value for name, value in later.items() if value}


@dataclass(frozen=True)
class Plan:
    """A recipe compiled for one denoiser.

    Costs are for one sample, training left out. Where gates decide, they are upper bounds.

    Attributes:
        start_scale: what unit noise is multiplied with.
        macs: multiply-accumulates of all steps.
        full_macs: multiply-accumulates of one full forward of the network.
        memory: bytes held between steps.
        artifacts: files of tensors by what they are to the plan.
        training: what gives the weights that no artifact holds yet.
    """

    model: ModelKey
    start_scale: float
    steps: tuple[StepPlan, ...]
    macs: int
    full_macs: int
    memory: int
    artifacts: tuple[tuple[str, Artifact], ...] = ()
    training: Training | None = None

    @property
    def nfe(self) -> int:
        """Network evaluations: steps that ask the network, and implicit correctors."""
        return len(calls(self.steps))

    @property
    def forwards(self) -> int:
        """Branches run, summed over the steps."""
        return sum(len(step.branches) for step in calls(self.steps))

    @property
    def forward_equivalents(self) -> float:
        """Multiply-accumulates over those of one full forward."""
        return self.macs / self.full_macs

    def cost(self, samples: int) -> float:
        """Forward equivalents of so many samples, and of what comes once before the first."""
        once = self.training.macs / self.full_macs if self.training else 0.0
        return self.forward_equivalents * samples + once

    @property
    def weights(self) -> Artifact | None:
        """The weights that the network is run with; None for its own."""
        return dict(self.artifacts).get(WEIGHTS)

    @property
    def stochastic(self) -> bool:
        """Whether any step adds noise."""
        return any(step.eta > 0 for step in self.steps)

    @property
    def gated(self) -> bool:
        """Whether samples decide for themselves what they compute."""
        return any(branch.gate for step in self.steps for branch in step.branches)

    def new_memory(self, count: int) -> FeatureMemory | None:
        """An empty memory for a run of ``count`` samples; None where nothing is remembered."""
        if self.gated:
            return RowMemory(self.keep, count)
        return FeatureMemory(self.keep) if self.keep else None

    @cached_property
    def keep(self) -> dict[str, int]:
        """How many computed values of each feature must be held, by its name."""
        return kept_features(self.steps)

    @cached_property
    def identity(self) -> str:
        """Hash of everything that decides the samples, and of nothing else."""
        data: dict[str, Any] = {
            "model": [self.model.family, self.model.schedule, self.model.prediction],
            "start_scale": self.start_scale,
            "steps": [step.to_dict() for step in self.steps],
        }
        keys = [[name, artifact.key] for name, artifact in self.artifacts]
        if self.training:
            # As with the artifact that it will be.
            keys = sorted([*keys, [WEIGHTS, self.training.provenance.key]])
        if keys:
            data["artifacts"] = keys
        text = json.dumps(data, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def model_key(denoiser: Denoiser) -> ModelKey:
    """The compatibility key of a denoiser, as recipes carry it."""
    schedule = denoiser.schedule
    return ModelKey(
        family=schedule.family,
        schedule=schedule.name,
        prediction=denoiser.prediction,
        weights=denoiser.weights,
    )


def check_compatible(recipe: Recipe, denoiser: Denoiser) -> bool:
    """Whether the weights are those that the recipe names (or it names none).

    Raises:
        UserError: when family, schedule or prediction differ.
    """
    key = model_key(denoiser)
    for name in ("family", "schedule", "prediction"):
        wanted, given = getattr(recipe.model, name), getattr(key, name)
        if wanted != given:
            raise UserError(
                f"recipe: model.{name} is {wanted!r} but this model's is {given!r}; "
                "use a recipe searched on a model of the same kind"
            )
    return recipe.model.weights in (None, key.weights)


def evaluations(steps: Sequence[StepPlan]) -> list[int]:
    """Network evaluations at the start of each step; an implicit corrector adds one."""
    counts = [int(step.evaluate == "network") for step in steps]
    for i, step in enumerate(steps):
        if step.corrector is not None and step.corrector.kind == "implicit":
            counts[i + 1] += 1
    return counts


def calls(steps: Sequence[StepPlan]) -> list[StepPlan]:
    """The step of each call of the network, in order; a step may be there twice or not at all."""
    counts = evaluations(steps)
    return [step for step, count in zip(steps, counts, strict=True) for _ in range(count)]


def kept_features(steps: Sequence[StepPlan]) -> dict[str, int]:
    """How many computed values of each feature must be held, by its name."""
    keep: dict[str, int] = {}
    for branch in (branch for step in steps for branch in step.branches):
        for feature, order in lookups(branch):
            keep[feature] = max(keep.get(feature, 0), order + 1)
    return keep


def lookups(branch: Branch) -> Iterator[tuple[str, int]]:
    """The features that a branch looks up, each with the order of its extrapolation."""
    gate = branch.gate
    for name, action in (*branch.sites, *(gate.sites if gate else ())):
        if action.remembers:
            yield action.feature(name), action.order
    if gate is not None:
        yield gate.feature, gate.order


def _plain(value: float) -> float | str:
    return round_float(value) if math.isfinite(value) else ("inf" if value > 0 else "-inf")
