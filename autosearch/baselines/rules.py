"""Rules by name: ``NAME[:SETTING...]``, settings left out as published."""

from collections.abc import Mapping, Sequence
from typing import Any

from autosearch.baselines.base import RecipeData, Rule, Setting
from autosearch.baselines.policies import POLICIES
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.sites.sites import blocks
from autosearch.errors import UserError, unknown_name

__all__ = ["apply_policies", "check_policies", "usage"]


def apply_policies(
    data: RecipeData, texts: Sequence[str], denoiser: Denoiser, *, where: str
) -> None:
    """Change a recipe's data as policies say, in the order given.

    Raises:
        UserError: for unknown policies, wrong settings, two that decide the same, or a model that
            has no blocks.
    """
    policies = check_policies(texts, where=where, known=POLICIES)
    if policies and not blocks(denoiser.sites):
        raise UserError(f"{where}: this model has no blocks to leave out; leave the policy out")
    for policy, values in policies:
        policy.apply(data, denoiser, *values)


def check_policies(
    texts: Sequence[str], *, where: str, known: Mapping[str, Rule]
) -> list[tuple[Rule, tuple[Any, ...]]]:
    """The rules of a list and their values.

    Raises:
        UserError: as :func:`apply_policies`, but for the model.
    """
    rules: list[tuple[Rule, tuple[Any, ...]]] = []
    owners: dict[str, str] = {}
    for text in texts:
        name, *given = text.split(":")
        if name not in known:
            raise unknown_name("policy", name, known, where=where)
        rule = known[name]
        if rule.owns in owners:
            raise UserError(
                f"{where}: {owners[rule.owns]} and {name} decide the same; leave one of them out"
            )
        owners[rule.owns] = name
        rules.append((rule, _values(name, rule, given, where=where)))
    return rules


def usage(name: str, rule: Rule) -> str:
    """A rule with its settings, as a name gives them: ``fora[:interval=3]``."""
    if rule.path:
        return f"{name}:FILE"
    more = ":..." if rule.repeated else ""
    return name + "".join(f"[:{s.name}={s.default:g}]" for s in rule.settings) + more


def _values(name: str, rule: Rule, given: Sequence[str], *, where: str) -> tuple[Any, ...]:
    if rule.path:
        path = ":".join(given)
        if not path:
            raise UserError(f"{where}: {name} takes a file; write {usage(name, rule)}")
        return (path,)
    settings = rule.settings
    if rule.repeated and given:
        settings = (*settings[:-1], *[settings[-1]] * (len(given) - len(settings) + 1))
    if len(given) > len(settings):
        raise UserError(
            f"{where}: {name} takes at most {len(settings)} settings, not {len(given)}; write "
            f"{usage(name, rule)}"
        )
    texts = [*given, *(f"{s.default!r}" for s in settings[len(given) :])]
    return tuple(
        _value(name, setting, text, where=where)
        for setting, text in zip(settings, texts, strict=True)
    )


def _value(name: str, setting: Setting, text: str, *, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not setting.low <= value <= setting.high or (setting.whole and not value.is_integer()):
        kind = "a whole number" if setting.whole else "a number"
        raise UserError(
            f"{where}: {name}'s {setting.name} is {text!r}; expected {kind} from {setting.low:g} "
            f"to {setting.high:g}"
        )
    return int(value) if setting.whole else value
