"""An attribute of somebody else's object with another value, for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["swapped"]

_ABSENT = object()


@contextmanager
def swapped(owner: object, name: str, value: object) -> Iterator[None]:
    """Run the body with another value of an attribute, such as a module's ``forward``.

    What stood there on the object itself, another library's hook perhaps, is put back at the end,
    also after an exception; where nothing did, the class's own shows again. Swaps nest. What
    somebody else put over the value in the meantime is theirs, and stays.
    """
    before = vars(owner).get(name, _ABSENT)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if vars(owner).get(name, _ABSENT) is value:
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
