"""The recipe: everything needed to sample, as plain, versioned JSON data.

Loading a recipe executes nothing. Floats keep 9 significant digits, 4 and 4.0 are one value,
defaults are left out, so equal recipes are equal texts.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from autosearch.diffusion.sites import Action
from autosearch.errors import UserError, nearest
from autosearch.validation import shortened, validated

__all__ = [
    "FORMS",
    "CorrectorStep",
    "Guidance",
    "ModelKey",
    "Recipe",
    "Relaxation",
    "Start",
    "Step",
    "parse_action",
    "round_float",
]

VERSION = 1

FORMS = ("dpmsolver", "taylor", "unipc_bh1", "unipc_bh2", "deis", "deis_t", "deis_rho")
# Polynomials of the noise itself: no Taylor terms to relax, and no stochastic version.
_LAGRANGE = ("deis_t", "deis_rho")
_DEEPEST = 6
_PLAIN_ACTIONS: Mapping[str, Action] = {"reuse": Action("reuse"), "skip": Action("skip")}
_FORECAST = re.compile(r"forecast:([0-4])")

# Beyond this the signal or the noise is under 2e-22 of the whole, and exponentials overflow.
_LOG_SNR = 50
LogSnr = Annotated[float, Field(ge=-_LOG_SNR, le=_LOG_SNR)]


def round_float(value: float) -> float:
    """``value`` with 9 significant digits; minus zero is zero."""
    return float(f"{value:.9g}") + 0.0


def _rounded(value: Any) -> Any:
    """Every number in plain data as a rounded float where it has a fraction, else as an int."""
    if isinstance(value, Mapping):
        return {str(k): _rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(v) for v in value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    try:
        short = round_float(value)
    except OverflowError:  # an integer beyond all floats, refused later
        return value
    return int(short) if short.is_integer() and abs(short) < 2**53 else short


def _known_form(value: str) -> str:
    if value not in FORMS:
        close = nearest(value, FORMS)
        hint = f"did you mean {close!r}?" if close else f"valid: {', '.join(FORMS)}"
        raise ValueError(f"unknown form {value!r}; {hint}")
    return value


def _check_relaxed(form: str) -> None:
    if form != "taylor":
        raise ValueError(f"form {form!r} has its own relaxation or none; use form 'taylor'")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelKey(_Strict):
    """Which models a recipe runs on: same family, schedule and prediction."""

    family: str
    schedule: str
    prediction: Literal["noise", "data", "v", "flow"]
    weights: str | None = None


class Start(_Strict):
    """How the first state is made from unit noise.

    ``unit``: standard deviation 1. ``sigma``: the first step's sigma. ``scheduler``:
    ``sqrt(alpha**2 + sigma**2)`` there, the marginal's for data of unit variance.
    """

    scale: Literal["unit", "sigma", "scheduler"] = "unit"


Past = Annotated[int, Field(ge=-_DEEPEST, le=-1)]
Point = Annotated[int, Field(ge=-_DEEPEST, le=0)]
Form = Annotated[str, AfterValidator(_known_form)]


class Relaxation(_Strict):
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


class CorrectorStep(_Strict):
    """How a corrector looks at the step again; what is left out is taken from the step.

    The order counts the evaluation at the step's end, and is one more than the predictor's. In
    ``points`` that evaluation is 0.
    """

    kind: Literal["pseudo", "implicit"]
    order: Annotated[int | None, Field(ge=2, le=5)] = None
    prediction: Literal["noise", "data"] | None = None
    form: Form | None = None
    start_point: Past | None = None
    points: list[list[Point]] | None = None
    relaxation: Relaxation | None = None

    @model_validator(mode="after")
    def _available(self) -> "CorrectorStep":
        if self.form == "dpmsolver":
            raise ValueError("form 'dpmsolver' has no corrector; use form 'unipc_bh2' or 'taylor'")
        if self.relaxation is not None and self.form is not None:
            _check_relaxed(self.form)
        return self


class Guidance(_Strict):
    """One rule of guidance; those of a step add up.

    With ``F`` the prediction, ``F_c`` with and ``F_u`` without the condition:

        cfg     F = F_u + scale (F_c - F_u): classifier-free guidance; 1 changes nothing
        cfgpp   the same for the data, and the noise is that of F_u (CFG++); scale 0 to 1
        pag     F += scale (F_c - F_p), F_p with attention heads perturbed; 0 changes nothing
        weak    F = F_w + scale (F_c - F_w), F_w from fewer sites (autoguidance)

    Attributes:
        heads: for ``pag``, attention sites and which of their heads; ``all`` is a whole layer.
        strength: for ``pag``, how far heads go towards identity attention (SoftPAG).
        sites: for ``weak``, what its run of the network does at sites, as in a step's own.
    """

    rule: Literal["cfg", "cfgpp", "pag", "weak"]
    scale: Annotated[float, Field(ge=-100, le=100)]
    heads: dict[str, list[Annotated[int, Field(ge=0)]] | Literal["all"]] = Field(
        default_factory=dict
    )
    strength: Annotated[float, Field(ge=0, le=1)] = 1.0
    sites: dict[str, str] = Field(default_factory=dict)

    @field_validator("sites")
    @classmethod
    def _known_actions(cls, value: dict[str, str]) -> dict[str, str]:
        for text in value.values():
            parse_action(text)
        return value

    @model_validator(mode="after")
    def _belongs(self) -> "Guidance":
        for name, rule in (("heads", "pag"), ("sites", "weak")):
            given = bool(getattr(self, name))
            if self.rule == rule and not given:
                raise ValueError(f"rule {rule!r} needs {name!r}")
            if self.rule != rule and given:
                raise ValueError(f"{name!r} goes with rule {rule!r}, not with {self.rule!r}")
        if self.rule != "pag" and self.strength != 1.0:
            raise ValueError(f"'strength' goes with rule 'pag', not with {self.rule!r}")
        if self.rule == "cfgpp" and not 0 <= self.scale <= 1:
            raise ValueError(f"the scale of rule 'cfgpp' is 0 to 1, got {self.scale:g}")
        return self


class Step(_Strict):
    """One step, from its log-SNR to the next step's (the last: to ``end``).

    Attributes:
        evaluate: the first step may take the data to be 0 or the data set's mean instead of
            asking the network (analytic first step).
        form: see :mod:`autosearch.compiler.solver`.
        start_point: -1 goes on from the newest state, -p starts again from the state p points
            back (singlestep).
        points: for each derivative, the evaluations besides the start's own that estimate it, -1
            being the newest. By default one fewer than the order: first those newer than the
            start, then the newest before it.
        corrector: whether to look at this step again when the network was evaluated at its end.
    """

    time: float
    log_snr: LogSnr | None = None
    evaluate: Literal["network", "zero_x0", "average_x0"] = "network"
    order: Annotated[int, Field(ge=1, le=4)] = 1
    prediction: Literal["noise", "data"] = "data"
    form: Form = "dpmsolver"
    start_point: Past = -1
    points: list[list[Past]] | None = None
    relaxation: Relaxation | None = None
    corrector: Literal["none", "pseudo", "implicit"] | CorrectorStep = "none"
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    clip: Annotated[float | None, Field(gt=0)] = None
    guidance: list[Guidance] = Field(default_factory=list)
    sites: dict[str, str] = Field(default_factory=dict)

    @field_validator("sites")
    @classmethod
    def _known_actions(cls, value: dict[str, str]) -> dict[str, str]:
        for text in value.values():
            parse_action(text)
        return value

    @field_validator("guidance", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        """One rule may stand without a list, and null for none."""
        if value is None:
            return []
        return [value] if isinstance(value, Mapping) else value

    @field_validator("guidance")
    @classmethod
    def _one_scale(cls, value: list[Guidance]) -> list[Guidance]:
        if sum(rule.rule in ("cfg", "cfgpp") for rule in value) > 1:
            raise ValueError("give one rule of 'cfg' and 'cfgpp' at most")
        return value

    @field_validator("corrector", mode="before")
    @classmethod
    def _name_or_mapping(cls, value: Any) -> Any:
        if not isinstance(value, (str, Mapping, CorrectorStep)):
            raise ValueError(
                f"write 'none', 'pseudo', 'implicit' or a mapping of keys, not {shortened(value)}"
            )
        return value

    @model_validator(mode="after")
    def _available(self) -> "Step":
        if self.order > 3 and self.form == "dpmsolver":
            raise ValueError("form 'dpmsolver' has orders 1 to 3; use form 'taylor' for order 4")
        if self.eta > 0 and self.form in _LAGRANGE and self.order > 1:
            raise ValueError(f"form {self.form!r} has no stochastic version; set eta to 0")
        if self.relaxation is not None:
            _check_relaxed(self.form)
        self._check_corrector()
        return self

    def _check_corrector(self) -> None:
        """A corrector's relaxation needs form taylor, its own or the one that it takes over."""
        corrector = self.corrector
        if not isinstance(corrector, CorrectorStep) or corrector.relaxation is None:
            return
        if corrector.form is None and self.form != "dpmsolver":
            _check_relaxed(self.form)


class Recipe(_Strict):
    """A way to sample from a model; see the fields' own pages for their meaning."""

    version: Literal[1]
    model: ModelKey
    start: Start = Start()
    steps: Annotated[list[Step], Field(min_length=1, max_length=10_000)]
    end: Literal["clean"] | LogSnr = "clean"
    artifacts: dict[str, Any] = Field(default_factory=dict)

    @field_validator("end", mode="before")
    @classmethod
    def _clean_or_number(cls, value: Any) -> Any:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value != "clean" and not (number and -_LOG_SNR <= value <= _LOG_SNR):
            raise ValueError(
                f"write 'clean' or a log-SNR from -{_LOG_SNR} to {_LOG_SNR}, not {shortened(value)}"
            )
        return value

    @field_validator("artifacts")
    @classmethod
    def _no_artifacts_yet(cls, value: dict[str, Any]) -> dict[str, Any]:
        if value:
            raise ValueError("field 'artifacts' is not available yet; leave it out")
        return value

    @classmethod
    def from_dict(cls, data: object, *, where: str = "recipe") -> "Recipe":
        """Validate plain data.

        Raises:
            UserError: for an unknown version, an unknown key, a wrong type or a mechanism that
                this release lacks, in one line.
        """
        try:
            rounded = _rounded(data)
        except RecursionError:
            raise UserError(f"{where}: nested too deep to be a recipe") from None
        if isinstance(rounded, Mapping):
            version = rounded.get("version")
            if version is None:
                raise UserError(f"{where}: key 'version' is missing; this release reads {VERSION}")
            if version != VERSION or isinstance(version, bool):
                raise UserError(
                    f"{where}: unknown recipe version {shortened(version)}; "
                    f"this release reads {VERSION}"
                )
        return validated(cls, rounded, where=where)

    @classmethod
    def load(cls, path: Path) -> "Recipe":
        """Read a recipe from a JSON file.

        Raises:
            UserError: when the file is missing, is not JSON or is not a valid recipe.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            raise UserError(f"{path}: cannot read the recipe: {reason}") from None
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: not valid JSON: {error}") from None
        return cls.from_dict(data, where=str(path))

    def to_dict(self) -> dict[str, Any]:
        """Plain data without defaults; validates back to an equal recipe."""
        data = self.model_dump(exclude_defaults=True)
        result: dict[str, Any] = _rounded(data)
        return result

    def save(self, path: Path) -> None:
        """Write the recipe as JSON."""
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")


def parse_action(text: str) -> Action:
    """``reuse``, ``skip`` or ``forecast:m`` as an action.

    Raises:
        ValueError: for anything else.
    """
    if text in _PLAIN_ACTIONS:
        return _PLAIN_ACTIONS[text]
    if match := _FORECAST.fullmatch(text):
        return Action("forecast", int(match[1]))
    raise ValueError(f"unknown site action {text!r}; valid: reuse, skip, forecast:0 to forecast:4")
