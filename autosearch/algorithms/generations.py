"""A barrier between generations that follows from the tells alone."""

from collections.abc import Sequence

__all__ = ["Generations"]


class Generations:
    """Counts candidates, baselines included, into generations.

    A generation is over when as many results as it has places were told since it began and nothing
    is pending. Until then no place is left: :meth:`place` gives None, the engine finishes what is
    in flight, tells it and asks again.

    Args:
        sizes: candidates in each generation; the last holds for all that follow.

    Attributes:
        number: generations that are over.
    """

    def __init__(self, *sizes: int) -> None:
        self._sizes = sizes
        self._told = 0
        self.number = 0

    def place(self, pending: Sequence[object]) -> int | None:
        """Which of its generation the next proposal is, from 0; None to wait for the others."""
        place = self._told + len(pending)
        if place < self._size:
            return place
        # With nothing pending there is nothing to wait for: a result never came.
        return None if pending else self._size - 1

    def tell(self, pending: Sequence[object]) -> bool:
        """Count one result; whether it was the last of its generation."""
        self._told += 1
        over = self._told >= self._size and not pending
        if over:
            self._told = 0
            self.number += 1
        return over

    @property
    def _size(self) -> int:
        return self._sizes[min(self.number, len(self._sizes) - 1)]
