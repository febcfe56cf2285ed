"""A pipeline whose calls are ours: one object's ``__call__`` with something round it.

Python looks a call up on the class, so the object gets a class of its own, derived from its own and
of the same name: what is written of it, compared with it or made from it does not change.
"""

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["Call", "own_call", "owner", "release_call"]

Call = Callable[..., Any]
Owner = Callable[[Any, Call, tuple[Any, ...], dict[str, Any]], Any]

# Where the object holds who owns its calls; copies of it hold copies.
_OWNER = "_autosearch_call"


def own_call(
    target: Any, held: Callable[[Any, Call, tuple[Any, ...], dict[str, Any]], Any]
) -> None:
    """Let ``held(target, call, args, kwargs)`` make all calls of an object.

    Args:
        target: the object; of a class of its own from now on.
        held: is given the object's own call, which takes the arguments; copied with the object.
    """
    own = type(target)

    @functools.wraps(own.__call__)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return vars(self)[_OWNER](self, functools.partial(own.__call__, self), args, kwargs)

    names = {name: getattr(own, name) for name in ("__module__", "__qualname__", "__doc__")}
    vars(target)[_OWNER] = held
    target.__class__ = type(own.__name__, (own,), {**names, "__call__": call})


def owner(target: Any) -> Any:
    """Who owns the object's calls; None for itself."""
    return getattr(target, "__dict__", {}).get(_OWNER)


def release_call(target: Any) -> None:
    """Give the object its own class and calls back."""
    if owner(target) is not None:
        del vars(target)[_OWNER]
        target.__class__ = type(target).__bases__[0]
