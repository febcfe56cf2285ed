"""What a pipeline was called with: guidance and generators, and what a recipe has no room for."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from autosearch.errors import UserError

__all__ = ["CallArguments"]

# What the recipe says, or what guides by runs of the network of its own; with the values, besides
# none and the pipeline's default, that ask for nothing.
_RECIPES_OWN: Mapping[str, float | None] = {
    "timesteps": None,
    "sigmas": None,
    "eta": 0.0,
    "guidance_rescale": 0.0,
    "true_cfg_scale": 1.0,
    "skip_guidance_layers": None,
    "pag_scale": 0.0,
}


@dataclass(frozen=True)
class CallArguments:
    """The arguments of one call by name, defaults included.

    Attributes:
        given: by name.
        defaults: of those that have one.
    """

    given: Mapping[str, Any]
    defaults: Mapping[str, Any]

    @classmethod
    def of(
        cls, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> "CallArguments":
        """Those of a call of a method; what does not fit it is left to the method to say."""
        signature = inspect.signature(function)
        defaults = {
            name: parameter.default
            for name, parameter in signature.parameters.items()
            if parameter.default is not parameter.empty
        }
        names = list(signature.parameters)[1:]
        given = {**defaults, **dict(zip(names, args, strict=False)), **kwargs}
        return cls(given, defaults)

    @property
    def generator(self) -> Any:
        """The generator that the call was given, one or a list."""
        return self.given.get("generator")

    @property
    def guided(self) -> bool | None:
        """Whether the scale of guidance asks for runs without the condition; None where unsaid."""
        scale = self.given.get("guidance_scale")
        return None if scale is None else bool(scale > 1)

    def check(self) -> None:
        """Refuse what a recipe says itself, at any other value than the pipeline's default.

        Raises:
            UserError: naming the argument.
        """
        for name, nothing in _RECIPES_OWN.items():
            value = self.given.get(name)
            if value is not None and value not in (nothing, self.defaults.get(name)):
                raise UserError(
                    f"apply: this call's {name} is the recipe's to say, and would be ignored; "
                    "leave it out"
                )
