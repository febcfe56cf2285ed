"""One step of a recipe, with its guidance and its gate."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from autosearch.diffusion.solvers.forms import FORMS, Choice, find_form
from autosearch.diffusion.solvers.forms.base import HIGHEST_ORDER
from autosearch.diffusion.solvers.update import Integrand
from autosearch.errors import shortened
from autosearch.recipe.actions import SiteAction
from autosearch.recipe.schema import Owned, Strict, round_float
from autosearch.recipe.solver import CorrectorStep, FormName, Past, Relaxation

__all__ = ["LARGEST_LOG_SNR", "Gate", "Guidance", "LogSnr", "Step"]

# Beyond this the signal or the noise is under 2e-22 of the whole, and exponentials overflow.
LARGEST_LOG_SNR = 50
LogSnr = Annotated[float, Field(ge=-LARGEST_LOG_SNR, le=LARGEST_LOG_SNR)]
Factor = Annotated[float, Field(ge=-10, le=10)]


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


class Gate(Strict):
    """Samples whose probe hardly changed do without what the gate covers; the others compute.

    Decided for each sample and branch by itself, once the probe is computed. See
    :class:`autosearch.diffusion.sites.branches.RowGate` for the two measures.

    Attributes:
        probe: the site that decides.
        threshold: a relative error of the probe below which a sample passes; 0 lets none pass.
        measure: ``forecast``, of the probe's output (CG-Taylor), or ``change``, of what it adds
            to its input (first-block cache).
        order: of the probe's forecast.
        covers: what samples that pass do at sites after the probe, as in a step's ``sites``.
    """

    probe: str
    threshold: Annotated[float, Field(ge=0)]
    measure: Literal["forecast", "change"] = "forecast"
    order: Annotated[int, Field(ge=0, le=4)] = 0
    covers: Annotated[dict[str, SiteAction], Field(min_length=1)]

    @model_validator(mode="after")
    def _order_of_forecasts(self) -> "Gate":
        if self.order and self.measure == "change":
            raise ValueError("'order' goes with measure 'forecast', not with 'change'")
        return self


class Step(Strict):
    """One step, from its half log-SNR, log(alpha/sigma), to the next step's or to the end.

    Attributes:
        time: what the network is given, in the model's unit.
        log_snr: half log-SNR at its start; by default the schedule's at ``time``.
        evaluate: the first step may take the data to be 0 or the data set's mean instead of
            asking the network (analytic first step).
        prediction: what is integrated, the noise, the data, or their difference (``velocity``).
        form: see :mod:`autosearch.diffusion.solvers.forms`.
        start_point: -1, the default, goes on from the newest state, -p starts again from the state
            p points back (singlestep). At a time that the step before had too, the network is asked
            again where a restart has come to; a step that goes on from its own state has another
            time. Form ``linear`` starts from the first state of all by default.
        points: for each derivative, the evaluations besides the start's own that estimate it, -1
            being the newest. By default one fewer than the order: first those newer than the
            start, then the newest before it.
        weights: of form ``linear``, and of it alone: what a state is multiplied with, then what
            evaluations are, oldest first; their sum is the next state. The first state and every
            evaluation so far (OLSS); with a start_point, the state there and as many of the newest
            evaluations as there are weights for (a linear multistep method).
        compensation: DC-Solver's ratio. From the third evaluation on, the newest one is replaced
            by what the last three say, as a polynomial, of the time that lies this many steps
            after the one before; 1 is the newest's own.
        scaling: ``[m, s]``: factors on the network's prediction and, after that, on the state
            (Q-Sched).
        corrector: whether to look at this step again when the network was evaluated at its end.
        sites: what is not computed, and how that is made up for; ``FIRST..LAST`` is a range.
        gate: what samples leave out besides when a probe says that little has changed.
        rectify: ``[a, b]``; where the step leaves something out, the network's prediction ``v``
            becomes ``a v + b`` (ERTACache).
        interval: factor on how far the step goes in time. What is saved is spread over the steps
            after it, as ERTACache does on steps that reuse; the last step goes to the end.
    """

    time: Annotated[float, Owned("times")]
    log_snr: Annotated[LogSnr | None, Owned("times")] = None
    evaluate: Annotated[
        Literal["network", "zero_x0", "average_x0"], Owned("solver", "the analytic first step")
    ] = "network"
    order: Annotated[int, Field(ge=1, le=HIGHEST_ORDER), Owned("solver")] = 1
    prediction: Annotated[Integrand, Owned("solver")] = "data"
    form: Annotated[FormName, Owned("solver")] = "dpmsolver"
    start_point: Annotated[Past | None, Owned("solver")] = None
    points: Annotated[list[list[Past]] | None, Owned("solver")] = None
    relaxation: Annotated[Relaxation | None, Owned("solver", "relaxations")] = None
    weights: Annotated[list[float] | None, Owned("solver")] = None
    compensation: Annotated[Factor, Owned("solver", "compensation")] = 1.0
    scaling: Annotated[
        Annotated[list[Factor], Field(min_length=2, max_length=2)] | None,
        Owned("correction", "scaling"),
    ] = None
    corrector: Annotated[Literal["none", "pseudo", "implicit"] | CorrectorStep, Owned("solver")] = (
        "none"
    )
    eta: Annotated[float, Field(ge=0, le=1), Owned("solver", "eta")] = 0.0
    clip: Annotated[Annotated[float, Field(gt=0)] | None, Owned("solver", "clipping")] = None
    guidance: Annotated[list[Guidance], Owned("network", "guidance")] = Field(default_factory=list)
    sites: Annotated[dict[str, SiteAction], Owned("network", "site actions")] = Field(
        default_factory=dict
    )
    gate: Annotated[Gate | None, Owned("network", "gates")] = None
    rectify: Annotated[
        Annotated[list[float], Field(min_length=2, max_length=2)] | None,
        Owned("network", "rectification"),
    ] = None
    interval: Annotated[float, Field(gt=0, le=1), Owned("correction", "intervals")] = 1.0

    @property
    def choice(self) -> Choice:
        """What the step asks of its form."""
        return Choice(
            self.order,
            self.prediction,
            self.start_point,
            self.points,
            None if self.relaxation is None else self.relaxation.plain,
            None if self.weights is None else [round_float(one) for one in self.weights],
        )

    @model_validator(mode="before")
    @classmethod
    def _newest_by_default(cls, value: Any) -> Any:
        """What a form does anyway is left out, so that equal recipes are equal texts."""
        if not isinstance(value, Mapping) or value.get("start_point") != -1:
            return value
        name = value.get("form", "dpmsolver")
        if name in FORMS and FORMS[name].weighted:
            return value
        return {key: one for key, one in value.items() if key != "start_point"}

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
        find_form(self.form).check(
            self.choice,
            eta=self.eta,
            corrected=self.corrector != "none",
            renoised=any(rule.rule == "cfgpp" for rule in self.guidance),
        )
        if self.gate is not None and self.rectify is not None:
            raise ValueError("'rectify' is for whole steps: leave it or the gate out")
        self._check_corrector()
        return self

    def _check_corrector(self) -> None:
        """A corrector's relaxation needs form taylor, its own or the one that it takes over."""
        corrector = self.corrector
        if not isinstance(corrector, CorrectorStep) or corrector.relaxation is None:
            return
        form = find_form(self.form)
        if corrector.form is None and form.corrects:
            form.check_relaxed()
