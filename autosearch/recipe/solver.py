"""The solver of a step, as recipes write it: forms, points, relaxation and corrector."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from autosearch.errors import nearest
from autosearch.recipe.schema import Strict

__all__ = [
    "FORMS",
    "LAGRANGE",
    "SPECIAL_FORMS",
    "CorrectorStep",
    "Form",
    "Past",
    "Relaxation",
    "check_relaxed",
]

FORMS = ("dpmsolver", "taylor", "unipc_bh1", "unipc_bh2", "deis", "deis_t", "deis_rho")
# Not of the family of exact integrators of data or noise with fixed coefficients, and never
# stochastic.
SPECIAL_FORMS = ("evodiff", "linear", "v3", "velocity")
# Polynomials of the noise itself: no Taylor terms to relax, and no stochastic version.
LAGRANGE = ("deis_t", "deis_rho")
_DEEPEST = 6


def _known_form(value: str) -> str:
    known = (*FORMS, *SPECIAL_FORMS)
    if value not in known:
        close = nearest(value, known)
        hint = f"did you mean {close!r}?" if close else f"valid: {', '.join(known)}"
        raise ValueError(f"unknown form {value!r}; {hint}")
    return value


def check_relaxed(form: str) -> None:
    """Refuse a relaxation of a form that has its own or none.

    Raises:
        ValueError: for every form but ``taylor``.
    """
    if form != "taylor":
        raise ValueError(f"form {form!r} has its own relaxation or none; use form 'taylor'")


Past = Annotated[int, Field(ge=-_DEEPEST, le=-1)]
PointIndex = Annotated[int, Field(ge=-_DEEPEST, le=0)]
Form = Annotated[str, AfterValidator(_known_form)]


class Relaxation(Strict):
    """A factor on the first derivative, of a form that has none of its own (``taylor``).

    ``linear``: ``1 + coefficient * h``. ``exp``: ``1 + coefficient * expm1(z)``, published with
    0.5 and -0.5. ``unipc_bh1`` and ``unipc_bh2`` have no coefficient.
    """

    kind: Literal["linear", "exp", "unipc_bh1", "unipc_bh2"]
    coefficient: Annotated[float, Field(ge=-10, le=10)] = 0.0

    @model_validator(mode="after")
    def _coefficient_used(self) -> "Relaxation":
        if self.coefficient and self.kind.startswith("unipc"):
            raise ValueError(f"relaxation {self.kind!r} has no coefficient; leave it out")
        return self


class CorrectorStep(Strict):
    """How a corrector looks at the step again; what is left out is taken from the step.

    The order counts the evaluation at the step's end, and is one more than the predictor's. In
    ``points`` that evaluation is 0.
    """

    kind: Literal["pseudo", "implicit"]
    order: Annotated[int | None, Field(ge=2, le=5)] = None
    prediction: Literal["noise", "data"] | None = None
    form: Form | None = None
    start_point: Past | None = None
    points: list[list[PointIndex]] | None = None
    relaxation: Relaxation | None = None

    @model_validator(mode="after")
    def _available(self) -> "CorrectorStep":
        if self.form == "dpmsolver":
            raise ValueError("form 'dpmsolver' has no corrector; use form 'unipc_bh2' or 'taylor'")
        if self.form in ("evodiff", "linear"):
            raise ValueError(
                f"form {self.form!r} is a step's, not a corrector's; use form 'taylor'"
            )
        if self.relaxation is not None and self.form is not None:
            check_relaxed(self.form)
        return self
