"""The solver of a step, as recipes write it: forms, points, relaxation and corrector."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from autosearch.diffusion.solvers.forms import find_form
from autosearch.recipe.schema import Strict

__all__ = ["CorrectorStep", "FormName", "Past", "Relaxation"]

_DEEPEST = 6


def _known_form(value: str) -> str:
    return find_form(value).name


Past = Annotated[int, Field(ge=-_DEEPEST, le=-1)]
PointIndex = Annotated[int, Field(ge=-_DEEPEST, le=0)]
FormName = Annotated[str, AfterValidator(_known_form)]


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

    @property
    def plain(self) -> tuple[str, float]:
        """Kind and coefficient."""
        return self.kind, self.coefficient


class CorrectorStep(Strict):
    """How a corrector looks at the step again; what is left out is taken from the step.

    The order counts the evaluation at the step's end, and is one more than the predictor's. In
    ``points`` that evaluation is 0.
    """

    kind: Literal["pseudo", "implicit"]
    order: Annotated[int | None, Field(ge=2, le=5)] = None
    prediction: Literal["noise", "data"] | None = None
    form: FormName | None = None
    start_point: Past | None = None
    points: list[list[PointIndex]] | None = None
    relaxation: Relaxation | None = None

    @model_validator(mode="after")
    def _available(self) -> "CorrectorStep":
        if self.form is None:
            return self
        form = find_form(self.form)
        if not form.corrects:
            raise ValueError(
                f"form {self.form!r} has no corrector; use form 'unipc_bh2' or 'taylor'"
            )
        if self.relaxation is not None:
            form.check_relaxed()
        return self
