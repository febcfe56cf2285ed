"""Guidance of a step as a weighted sum over branches, which all rules are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autosearch.diffusion.branches import COND, UNCOND, Branch
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.sites import Action
from autosearch.errors import UserError, unknown_name
from autosearch.recipe import Guidance, parse_action, round_float

__all__ = ["Wanted", "wanted_branches"]


@dataclass(frozen=True)
class Wanted:
    """A branch that guidance asks for, before what is inert is removed.

    Attributes:
        own: actions at sites that are this branch's own, over the step's.
        renoise: whether the noise that stays in the state is this branch's (CFG++).
    """

    branch: Branch
    weight: float
    own: Mapping[str, Action]
    renoise: bool = False


def wanted_branches(rules: Sequence[Guidance], denoiser: Denoiser, *, where: str) -> list[Wanted]:
    """The branches of a step, ``cond`` first, and their weights, which add up to 1.

    Raises:
        UserError: for a mode, a site or a head that the model lacks.
    """
    cond = 1.0
    others: list[Wanted] = []
    for i, rule in enumerate(rules):
        # Every rule moves the prediction away from another branch's.
        push = rule.scale if rule.rule == "pag" else rule.scale - 1.0
        place = f"{where}.guidance[{i}]"
        cond += push
        others.append(_other(rule, i, -push, denoiser, place))
    plain = Wanted(COND, round_float(cond), {})
    return [wanted for wanted in (plain, *others) if wanted.weight or wanted.renoise]


def _other(rule: Guidance, index: int, weight: float, denoiser: Denoiser, where: str) -> Wanted:
    weight = round_float(weight)
    match rule.rule:
        case "cfg" | "cfgpp":
            if "uncond" not in denoiser.conditions:
                raise UserError(
                    f"{where}: rule {rule.rule!r} needs a model that also runs without its "
                    "condition, and this one does not; use rule 'pag' or 'weak'"
                )
            return Wanted(UNCOND, weight, {}, renoise=rule.rule == "cfgpp")
        case "pag":
            branch = Branch(
                f"pag{index}", heads=_heads(rule, denoiser, where), strength=rule.strength
            )
            return Wanted(branch, weight, {})
        case _:
            own = {name: parse_action(text) for name, text in rule.sites.items()}
            known = [site.name for site in denoiser.sites]
            for name in own:
                if name not in known:
                    raise unknown_name("site", name, known, where=f"{where}.sites")
            return Wanted(Branch(f"weak{index}"), weight, own)


def _heads(
    rule: Guidance, denoiser: Denoiser, where: str
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    found = []
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
            found.append((site, heads))
    return tuple(found)
