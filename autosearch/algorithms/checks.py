"""Settings that several algorithms share, checked with the remedy in the message."""

from autosearch.errors import UserError

__all__ = ["at_least", "one_objective", "several_objectives", "share"]


def at_least(key: str, value: int, least: int) -> int:
    """A whole number that must not be smaller than ``least``."""
    if value < least:
        raise UserError(f"algorithm.{key}: {value} is too small; use at least {least}")
    return value


def share(key: str, value: float) -> float:
    """A number from 0 to 1."""
    if not 0 <= value <= 1:
        raise UserError(f"algorithm.{key}: {value:g} is no share; use 0 to 1")
    return value


def one_objective(name: str, objectives: int) -> None:
    """Refuse more than one objective, for algorithms that would be silent about the others."""
    if objectives != 1:
        raise UserError(
            f"algorithm: {name} searches one objective and the experiment has {objectives}; name "
            "one and make the others constraints, or use nsga2"
        )


def several_objectives(name: str, objectives: int) -> None:
    """Refuse a single objective, for algorithms that are about trade-offs alone."""
    if objectives < 2:
        raise UserError(
            f"algorithm: {name} trades objectives off and the experiment has {objectives}; add "
            "one, or use nsga2"
        )
