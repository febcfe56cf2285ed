"""The numbers that a name may carry after colons, as in ``fora:3`` or ``gits:1.1``."""

from collections.abc import Sequence
from dataclasses import dataclass

from autosearch.errors import UserError

__all__ = ["Setting", "setting_values", "with_settings"]


@dataclass(frozen=True)
class Setting:
    """One number that a name may give: its range, and its value where the name leaves it out."""

    name: str
    default: float
    low: float
    high: float
    whole: bool = True


def with_settings(name: str, settings: Sequence[Setting]) -> str:
    """A name with its settings, as people write it: ``fora[:interval=3]``."""
    return name + "".join(f"[:{one.name}={one.default:g}]" for one in settings)


def setting_values(
    name: str, settings: Sequence[Setting], given: Sequence[str], *, where: str, written: str
) -> tuple[float, ...]:
    """A value for each setting of a name, whole ones as integers.

    Args:
        name: what has the settings, for messages.
        settings: in the order in which the name gives them.
        given: the texts between the colons; those that are missing stand for the defaults.
        where: the whole name, for messages.
        written: how the name is written with all its settings, for messages.

    Raises:
        UserError: for too many settings, and for a text that is no number of its setting's range.
    """
    if len(given) > len(settings):
        takes = f"at most {len(settings)} settings" if settings else "no settings"
        raise UserError(f"{where}: {name} takes {takes}, not {len(given)}; write {written}")
    texts = [*given, *(f"{one.default!r}" for one in settings[len(given) :])]
    return tuple(
        _value(name, one, text, where=where) for one, text in zip(settings, texts, strict=True)
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
