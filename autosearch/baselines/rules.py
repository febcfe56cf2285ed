"""Policies by name: ``NAME[:SETTING...]``, settings left out as published."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from autosearch.baselines.base import RecipeData, Setting
from autosearch.baselines.zoo import POLICIES
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.sites.sites import blocks
from autosearch.errors import UserError, unknown_name

__all__ = ["Rule", "apply_policies", "check_policies", "written"]


class Rule(Protocol):
    """What names tell of a policy, or of anything else that stands in their place."""

    @property
    def settings(self) -> tuple[Setting, ...]: ...
    @property
    def owns(self) -> str: ...
    @property
    def repeated(self) -> bool: ...
    @property
    def path(self) -> bool: ...


SomeRule = TypeVar("SomeRule", bound=Rule)


def apply_policies(
    data: RecipeData, texts: Sequence[str], denoiser: Denoiser, *, where: str
) -> None:
    """Change a recipe's data as policies say, in the order given.

    Raises:
        UserError: for unknown policies, wrong settings, two that decide the same, or a model that
            has no blocks.
    """
    found = check_policies(texts, where=where, known=POLICIES)
    if found and not blocks(denoiser.sites):
        raise UserError(f"{where}: this model has no blocks to leave out; leave the policy out")
    for policy, values in found:
        policy.apply(data, denoiser, values)


def check_policies(
    texts: Sequence[str], *, where: str, known: Mapping[str, SomeRule]
) -> list[tuple[SomeRule, tuple[Any, ...]]]:
    """The rules of a list and their values.

    Raises:
        UserError: as :func:`apply_policies`, but for the model.
    """
    found: list[tuple[SomeRule, tuple[Any, ...]]] = []
    owners: dict[str, str] = {}
    for text in texts:
        name, *given = text.split(":")
        if name not in known:
            raise unknown_name("policy", name, known, where=where)
        policy = known[name]
        if policy.owns in owners:
            raise UserError(
                f"{where}: {owners[policy.owns]} and {name} decide the same; leave one of them out"
            )
        owners[policy.owns] = name
        if policy.path:
            found.append((policy, (_path(name, policy, given, where=where),)))
        else:
            found.append((policy, _values(name, policy, given, where=where)))
    return found


def written(name: str, policy: Rule) -> str:
    """A policy with its settings, as a name gives them: ``fora[:interval=3]``."""
    if policy.path:
        return f"{name}:FILE"
    more = ":..." if policy.repeated else ""
    return name + "".join(f"[:{s.name}={s.default:g}]" for s in policy.settings) + more


def _path(name: str, policy: Rule, given: Sequence[str], *, where: str) -> str:
    path = ":".join(given)
    if not path:
        raise UserError(f"{where}: {name} takes a file; write {written(name, policy)}")
    return path


def _values(name: str, policy: Rule, given: Sequence[str], *, where: str) -> tuple[float, ...]:
    settings = policy.settings
    if policy.repeated and given:
        settings = (*settings[:-1], *[settings[-1]] * (len(given) - len(settings) + 1))
    if len(given) > len(settings):
        raise UserError(
            f"{where}: {name} takes at most {len(settings)} settings, not {len(given)}; write "
            f"{written(name, policy)}"
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
    return value
