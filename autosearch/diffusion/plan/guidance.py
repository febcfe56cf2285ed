"""Guidance of a step as a weighted sum over branches, which all rules are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autosearch.diffusion.classifier import ClassifierTerm
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan.reachability import asked_actions
from autosearch.diffusion.sites.branches import (
    COND,
    UNCOND,
    Branch,
    perturbed_branch,
    weakened_branch,
)
from autosearch.diffusion.sites.sites import SiteTable
from autosearch.errors import UserError, unknown_name
from autosearch.recipe import Guidance, round_float
from autosearch.recipe.actions import Action

__all__ = ["BranchRequest", "classifier_terms", "requested_branches"]


@dataclass(frozen=True)
class BranchRequest:
    """A branch that guidance asks for, before what is inert is removed.

    Attributes:
        own: actions at sites that are this branch's own, over the step's.
        renoise: whether the noise that stays in the state is this branch's (CFG++).
    """

    branch: Branch
    weight: float
    own: Mapping[str, Action]
    renoise: bool = False


def requested_branches(
    rules: Sequence[Guidance], denoiser: Denoiser, *, pruned: Mapping[str, Action], where: str
) -> list[BranchRequest]:
    """The branches of a step, and their weights, which add up to 1.

    ``cond`` first, then ``uncond``, then others by name: the order of the rules is of no account.

    Args:
        rules: the step's.
        denoiser: the model.
        pruned: skips of what no step runs; perturbing them is nothing.
        where: of the step, for messages.

    Raises:
        UserError: for a mode, a site or a head that the model lacks.
    """
    pushes = [1.0]
    others: list[BranchRequest] = []
    for i, rule in enumerate(rules):
        if rule.rule == "classifier":
            continue  # no run of the network
        # Every rule moves the prediction away from another branch's.
        push = rule.scale if rule.rule == "pag" else rule.scale - 1.0
        place = f"{where}.guidance[{i}]"
        pushes.append(push)
        others.append(_other(rule, -push, denoiser, pruned, place))
    plain = BranchRequest(COND, round_float(math.fsum(pushes)), {})
    others.sort(key=lambda wanted: (wanted.branch.condition == "cond", wanted.branch.name))
    return [wanted for wanted in (plain, *others) if wanted.weight or wanted.renoise]


def classifier_terms(
    rules: Sequence[Guidance], denoiser: Denoiser, *, where: str
) -> tuple[ClassifierTerm, ...]:
    """The classifier's terms of a step; equally calibrated rules are one, and scale 0 is none.

    Raises:
        UserError: for a model without classes or without a classifier.
    """
    scales: dict[tuple[float, float], list[float]] = {}
    for i, rule in enumerate(rules):
        if rule.rule != "classifier":
            continue
        if denoiser.classifier is None or not denoiser.classes:
            raise UserError(
                f"{where}.guidance[{i}]: rule 'classifier' needs a model with classes and a "
                "classifier of them, and this one has none; use rule 'cfg', 'pag' or 'weak'"
            )
        calibration = (rule.temperature, rule.discount)
        scales.setdefault(calibration, []).append(rule.scale)
    # At temperature 0 every class is as likely everywhere.
    return tuple(
        ClassifierTerm(scale, *calibration)
        for calibration, scale in (
            (calibration, round_float(math.fsum(parts)))
            for calibration, parts in sorted(scales.items())
        )
        if scale and calibration[0]
    )


def _other(
    rule: Guidance, weight: float, denoiser: Denoiser, pruned: Mapping[str, Action], where: str
) -> BranchRequest:
    weight, sites = round_float(weight), SiteTable(denoiser.sites)
    match rule.rule:
        case "cfg" | "cfgpp":
            if "uncond" not in denoiser.conditions:
                raise UserError(
                    f"{where}: rule {rule.rule!r} needs a model that also runs without its "
                    "condition, and this one does not; use rule 'pag' or 'weak'"
                )
            return BranchRequest(UNCOND, weight, {}, renoise=rule.rule == "cfgpp")
        case "pag":
            heads = {
                site: chosen
                for site, chosen in _heads(rule, denoiser, where)
                if sites.runs(site, pruned)
            }
            return BranchRequest(perturbed_branch(heads, rule.strength), weight, {})
        case _:
            own = _effective(
                asked_actions(rule.sites, sites, where=f"{where}.sites"), pruned, sites
            )
            return BranchRequest(weakened_branch(own), weight, own)


def _effective(
    asked: Mapping[str, Action], pruned: Mapping[str, Action], sites: SiteTable
) -> dict[str, Action]:
    """Actions without those inside of what is left out anyway."""
    left_out = {name: action for name, action in asked.items() if action.kind == "skip"}
    outside = {**left_out, **pruned}
    return {
        name: action
        for name, action in asked.items()
        if name not in pruned and not sites.covered(name, outside)
    }


def _heads(
    rule: Guidance, denoiser: Denoiser, where: str
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    perturbed = []
    for site, chosen in sorted(rule.heads.items()):
        if site not in denoiser.heads:
            if not denoiser.heads:
                raise UserError(f"{where}.heads: this model has no attention heads to perturb")
            raise unknown_name("attention site", site, denoiser.heads, where=f"{where}.heads")
        count = denoiser.heads[site]
        heads = tuple(range(count)) if chosen == "all" else tuple(sorted(set(chosen)))
        if heads and heads[-1] >= count:
            raise UserError(
                f"{where}.heads: {site} has heads 0 to {count - 1}, and no head {heads[-1]}"
            )
        if heads:
            perturbed.append((site, heads))
    return tuple(perturbed)
