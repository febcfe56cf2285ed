"""Guidance of a step, as recipes write it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from autosearch.recipe.actions import SiteAction
from autosearch.recipe.schema import Strict

__all__ = ["Guidance"]


class Guidance(Strict):
    """One rule of guidance; those of a step add up.

    With ``F`` the prediction, ``F_c`` with and ``F_u`` without the condition:

        cfg     F = F_u + scale (F_c - F_u): classifier-free guidance; 1 changes nothing
        cfgpp   the same for the data, and the noise is that of F_u (CFG++); scale 0 to 1
        pag     F += scale (F_c - F_p), F_p with attention heads perturbed; 0 changes nothing
        weak    F = F_w + scale (F_c - F_w), F_w from fewer sites (autoguidance)
        classifier  moves F up the gradient of log p(label) at the predicted clean data

    See :mod:`autosearch.diffusion.classifier` for the last one's formula.

    Attributes:
        heads: for ``pag``, attention sites and which of their heads; ``all`` is a whole layer.
        strength: for ``pag``, how far heads go towards identity attention (SoftPAG).
        sites: for ``weak``, what its run of the network does at sites, as in a step's own.
        temperature: for ``classifier``, the factor on its logits.
        discount: for ``classifier``, a further factor on those of the normaliser.
    """

    rule: Literal["cfg", "cfgpp", "pag", "weak", "classifier"]
    scale: Annotated[float, Field(ge=-100, le=100)]
    heads: dict[str, list[Annotated[int, Field(ge=0)]] | Literal["all"]] = Field(
        default_factory=dict
    )
    strength: Annotated[float, Field(ge=0, le=1)] = 1.0
    sites: dict[str, SiteAction] = Field(default_factory=dict)
    temperature: Annotated[float, Field(ge=0, le=100)] = 1.0
    discount: Annotated[float, Field(ge=0, le=10)] = 1.0

    @model_validator(mode="after")
    def _belongs(self) -> "Guidance":
        for name, rule in (("heads", "pag"), ("sites", "weak")):
            given = bool(getattr(self, name))
            if self.rule == rule and not given:
                raise ValueError(f"rule {rule!r} needs {name!r}")
            if self.rule != rule and given:
                raise ValueError(f"{name!r} goes with rule {rule!r}, not with {self.rule!r}")
        for name, rule in (
            ("strength", "pag"),
            ("temperature", "classifier"),
            ("discount", "classifier"),
        ):
            if self.rule != rule and getattr(self, name) != 1.0:
                raise ValueError(f"{name!r} goes with rule {rule!r}, not with {self.rule!r}")
        if self.rule == "cfgpp" and not 0 <= self.scale <= 1:
            raise ValueError(f"the scale of rule 'cfgpp' is 0 to 1, got {self.scale:g}")
        return self
