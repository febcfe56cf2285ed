"""Settings that several algorithms share, checked with the remedy in the message."""

from autosearch.algorithms.base import Algorithm
from autosearch.errors import UserError

__all__ = ["at_least", "one_objective", "several_objectives", "shares"]


def at_least(algorithm: Algorithm, **least: int) -> None:
    """Refuse settings of an algorithm that are smaller than the value given for their name."""
    for key, limit in least.items():
        value = getattr(algorithm, key)
        if value < limit:
            raise UserError(f"algorithm.{key}: {value} is too small; use at least {limit}")


def shares(algorithm: Algorithm, *keys: str) -> None:
    """Refuse settings of an algorithm that are not from 0 to 1."""
    for key in keys:
        value = getattr(algorithm, key)
        if not 0 <= value <= 1:
            raise UserError(f"algorithm.{key}: {value:g} is no share; use 0 to 1")


def one_objective(algorithm: Algorithm) -> None:
    """Refuse more than one objective, for algorithms that would be silent about the others."""
    if algorithm.objectives != 1:
        raise UserError(
            f"algorithm: {algorithm.name} searches one objective and the experiment has "
            f"{algorithm.objectives}; name one and make the others constraints, or use nsga2"
        )


def several_objectives(algorithm: Algorithm) -> None:
    """Refuse a single objective, for algorithms that are about trade-offs alone."""
    if algorithm.objectives < 2:
        raise UserError(
            f"algorithm: {algorithm.name} trades objectives off and the experiment has "
            f"{algorithm.objectives}; add one, or use nsga2"
        )
