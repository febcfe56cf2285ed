"""DPM-Solver-v3's step: the model's own statistics linearise the ODE (Zheng et al. 2023).

With ``y = x / alpha`` the probability-flow ODE is ``y' = -exp(-lambda) noise``. Statistics l, s, b,
one number for each pixel and noise level, split it into ``y' = -(l y + f)`` and
``f' = s f + b + ...``, both linear parts solved exactly, and what is left, ``g``, is a polynomial
through its values at earlier points. From the start of the step, where all integrals begin,

    L = int l,  S = int s,  B = int exp(-S) b,  I = int exp(L + S),  C = int exp(L + S) B,
    E_k = int exp(L + S) (u - start)^k / k!,  g_i = exp(-S_i) f_i - B_i,
    y' exp(L') = y - I' g - C' - sum_k E_k g^(k).

l = 1, s = b = 0 is DPM-Solver++, l = 0, s = -1, b = 0 DPM-Solver. The authors round times to the
table's levels; here statistics are linear in between, the same everywhere beyond its ends, and the
integrals of exponentials exact where exponents and factors are linear. The prediction f of a state
that a corrector moved stays what it was, as published: it is taken from data and noise, which stay.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from autosearch.diffusion.solvers.forms.base import Choice, Form, Operands, Stepped
from autosearch.diffusion.solvers.taylor import difference_weights
from autosearch.diffusion.solvers.update import Evaluation, Interval, Update
from autosearch.errors import UserError

__all__ = ["STATISTICS", "DPMSolverV3", "Statistics"]

# The name of the artifact in recipes.
STATISTICS = "v3"
# A step is integrated over the table's levels and so many even ones.
_NODES = 64
_KEPT = 256
_NAMES = ("log_snr", "l", "s", "b")


class DPMSolverV3(Form):
    """The model's statistics take the place of the prediction, at order 1 too."""

    name = "v3"
    summary = "DPM-Solver-v3: statistics of the model take the place of the prediction"
    predictions = ("data",)
    stochastic = "none"
    plain = False
    published = False
    pure_noise = False
    artifact = STATISTICS
    needs = "the model's statistics"
    measured_by = "measure them: autosearch calibrate MODEL --method v3"

    def from_start(
        self, choice: Choice, history: Mapping[int, float], start: int, decisive: Collection[int]
    ) -> Update:
        points = self.choose_points(choice, history, start)
        return Update(len(points) + 1, "data", self.name, start, points)

    def step(self, update: Update, operands: Operands) -> Stepped:
        statistics = operands.measured
        assert isinstance(statistics, Statistics)  # checked when the plan was made
        x = statistics.step(update, operands.interval, operands.points)
        return Stepped(x, operands.interval.next_sigma)


@dataclass(frozen=True)
class _Integrals:
    """Integrals from the start of a step to each point, [points, *sample_shape]."""

    log_snr: Tensor
    linear: Tensor
    scale: Tensor
    offset: Tensor


@dataclass(frozen=True)
class _Weights:
    """The weights of a step in double precision, each [*sample_shape].

    Attributes:
        state: of the state at the start.
        data: of the data, by the index of the evaluation.
        noise: of the noise, by the index of the evaluation.
        constant: what is added.
    """

    state: Tensor
    data: Mapping[int, Tensor]
    noise: Mapping[int, Tensor]
    constant: Tensor


@dataclass(frozen=True)
class Statistics:
    """Empirical model statistics l, s, b [levels, *sample_shape] at ascending half log-SNRs."""

    log_snr: Tensor
    l: Tensor  # noqa: E741 - the paper's name
    s: Tensor
    b: Tensor
    _weights_held: dict[object, _Weights] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], *, shape: tuple[int, ...], where: str
    ) -> "Statistics":
        """The statistics that an artifact's tensors are, in double precision.

        Raises:
            UserError: when they are not statistics of samples of this shape.
        """
        levels = tensors["log_snr"].numel() if "log_snr" in tensors else 0
        wanted = {"log_snr": (levels,)} | dict.fromkeys(_NAMES[1:], (levels, *shape))
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        if levels < 2 or any(shapes.get(name) != wanted[name] for name in _NAMES):
            raise UserError(
                f"{where}: holds no statistics for samples of shape {list(shape)}; measure this "
                "model: autosearch calibrate"
            )
        log_snr, linear, scale, offset = (tensors[name].double() for name in _NAMES)
        return cls(log_snr, linear, scale, offset)

    def step(self, update: Update, interval: Interval, points: Mapping[int, Evaluation]) -> Tensor:
        """The state [N, *sample_shape] at the end of a step."""
        weights = self._weights(update, interval, {j: p.log_snr for j, p in points.items()})
        start = points[update.start]
        like = start.x

        def cast(value: Tensor) -> Tensor:
            return value.to(device=like.device, dtype=like.dtype)

        total = cast(weights.state) * start.x + cast(weights.constant)
        for index, point in points.items():
            total = total.addcmul(cast(weights.data[index]), point.data)
            assert point.noise is not None  # no step looks at the clean end
            total = total.addcmul(cast(weights.noise[index]), point.noise)
        return total

    def _weights(
        self, update: Update, interval: Interval, log_snrs: Mapping[int, float]
    ) -> _Weights:
        key = (update, interval, tuple(sorted(log_snrs.items())))
        if key not in self._weights_held:
            if len(self._weights_held) >= _KEPT:
                self._weights_held.clear()
            self._weights_held[key] = self._integrated(update, interval, log_snrs)
        return self._weights_held[key]

    def _integrated(
        self, update: Update, interval: Interval, log_snrs: Mapping[int, float]
    ) -> _Weights:
        way = self._way(interval.start, interval.end)
        exponent = way.linear + way.scale
        h, end = interval.h, -1
        factors = {j: torch.zeros_like(exponent[0]) for j in log_snrs}
        for k, chosen in enumerate(update.points, start=1):
            power = (way.log_snr - interval.start) ** k / math.factorial(k)
            term = _exponential(exponent, _shaped(power, exponent), way.log_snr)[end]
            distances = tuple((log_snrs[j] - interval.start) / h for j in chosen)
            for j, share in zip(chosen, difference_weights(distances, k), strict=True):
                factors[j] = factors[j] + term * (share / h**k)
        whole = _exponential(exponent, torch.ones_like(exponent), way.log_snr)[end]
        factors[update.start] = whole - sum(
            (factor for j, factor in factors.items() if j != update.start), start=0 * whole
        )
        outer = interval.next_alpha * torch.exp(-way.linear[end])
        constant = _exponential(exponent, way.offset, way.log_snr)[end]
        data, noise = {}, {}
        for j, factor in factors.items():
            there = self._way(interval.start, log_snrs[j])
            constant = constant - factor * there.offset[-1]
            whole = -outer * factor * torch.exp(-there.scale[-1])
            level = self._at(self.l, torch.tensor([log_snrs[j]], dtype=torch.float64))[0]
            data[j] = -level * whole
            noise[j] = (1 - level) * math.exp(-log_snrs[j]) * whole
        return _Weights(outer / interval.alpha, data, noise, -outer * constant)

    def _way(self, start: float, end: float) -> _Integrals:
        """L, S and B from ``start`` on, at points up to ``end``, which may lie before it."""
        low, high = min(start, end), max(start, end)
        even = torch.linspace(low, high, _NODES + 1, dtype=torch.float64)
        own = self.log_snr.cpu()
        points = torch.unique(torch.cat([even, own[(own > low) & (own < high)]]))
        if end < start:
            points = points.flip(0)
        linear = _cumulated(self._at(self.l, points), points)
        scale = _cumulated(self._at(self.s, points), points)
        offset = _exponential(-scale, self._at(self.b, points), points)
        return _Integrals(points.to(self.l.device), linear, scale, offset)

    def _at(self, table: Tensor, log_snrs: Tensor) -> Tensor:
        """A table's values, linear between its levels and constant beyond them."""
        own, at = self.log_snr, log_snrs.to(table.device)
        at = at.clamp(float(own[0]), float(own[-1]))
        above = torch.searchsorted(own, at).clamp(1, len(own) - 1)
        share = (at - own[above - 1]) / (own[above] - own[above - 1])
        return torch.lerp(table[above - 1], table[above], _shaped(share, table))


def _shaped(values: Tensor, like: Tensor) -> Tensor:
    """[points] against [points, *sample_shape]."""
    return values.to(like.device).reshape(-1, *([1] * (like.dim() - 1))).expand(-1, *like.shape[1:])


def _cumulated(values: Tensor, points: Tensor) -> Tensor:
    """The integral of a piecewise linear function from the first point to each."""
    steps = _shaped(points.diff(), values)
    parts = 0.5 * steps * (values[1:] + values[:-1])
    return torch.cat([torch.zeros_like(values[:1]), parts.cumsum(0)])


def _exponential(exponent: Tensor, factor: Tensor, points: Tensor) -> Tensor:
    """The integral of ``exp(exponent) factor`` from the first point to each.

    Exact where both are linear between points.
    """
    steps = _shaped(points.diff(), exponent)
    z = exponent.diff(dim=0)
    both, later = _moments(z)
    parts = steps * exponent[:-1].exp() * (factor[:-1] * both + factor.diff(dim=0) * later)
    return torch.cat([torch.zeros_like(exponent[:1]), parts.cumsum(0)])


def _moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """``int_0^1 exp(z u) du`` and ``int_0^1 exp(z u) u du``; near 0 by their series."""
    small = z.abs() < 0.1
    far = torch.where(small, torch.ones_like(z), z)
    whole, later = torch.expm1(far) / far, (far.exp() * (far - 1) + 1) / far**2
    near = torch.where(small, z, torch.zeros_like(z))
    series_whole = sum(near**n / math.factorial(n + 1) for n in range(9))
    series_later = sum(near**n / (math.factorial(n) * (n + 2)) for n in range(9))
    return torch.where(small, series_whole, whole), torch.where(small, series_later, later)
