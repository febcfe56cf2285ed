"""Noise schedules as functions of a real time.

Forward process: ``x_t = alpha * x_0 + sigma * noise``; ``log_snr = log(alpha / sigma)``, the half
log-signal-to-noise ratio that DPM-Solver calls lambda (Lu et al. 2022, section 2). It grows while
denoising.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from autosearch._typing import Array
from autosearch.errors import UserError, shortened, unknown_name

__all__ = [
    "EDM",
    "ZERO_SNR_FLOOR",
    "NoiseSchedule",
    "RectifiedFlow",
    "ScheduleFamily",
    "VariancePreserving",
    "get_schedule",
]

ScheduleFamily = Literal["vp", "edm", "flow"]

_TRAIN_STEPS = 1000
# The first and the last beta of each publication.
_BETAS: Mapping[str, tuple[float, ...]] = {
    "linear": (1e-4, 0.02),
    "scaled_linear": (0.00085, 0.012),
    "cosine": (),
}
_TRAINED = "trained"
_ZERO_SNR, _SNR_SHIFT = "zero_snr", "snr_shift="
# The half log-SNR that diffusers' solvers in sigma take for that of pure noise: alpha**2 = 2**-24.
ZERO_SNR_FLOOR = 0.5 * (math.log(2.0**-24) - math.log1p(-(2.0**-24)))


class NoiseSchedule(ABC):
    """A family of noise levels and the map between its time and its half log-SNR.

    Attributes:
        family: ``vp``, ``edm`` or ``flow``: how alpha and sigma follow from the half log-SNR.
        name: which schedule of the family.
        first: the largest (noisiest) time that a network is given.
        last: the smallest time that a network is given.
        unit: size of one natural time unit; a search rounds times to 1e-3 of it.
        min_gap: the least distance between neighbouring times that a search keeps by default.
        train_steps: number of discrete training times T; 1000 where the time is continuous, for
            grids that are defined by counting training steps.
        pure_noise: the finite half log-SNR that solvers take pure noise (minus infinity) to have
            once later steps look back at it; that of a flow's time 0.999999, where diffusers' UniPC
            starts a flow instead of at 1, and :data:`ZERO_SNR_FLOOR` of betas.
    """

    family: ScheduleFamily
    name: str
    first: float
    last: float
    unit: float = 1.0
    min_gap: float = 1.0
    train_steps: int = 1000
    pure_noise: float = math.log(1 - 0.999999) - math.log(0.999999)

    @property
    def least(self) -> float:
        """The smallest time that a recipe may name; grids that are made here end at ``last``."""
        return self.last

    @abstractmethod
    def log_snr(self, time: float) -> float:
        """Half log-SNR, log(alpha/sigma), at a real time; may be infinite at the ends."""

    @abstractmethod
    def time(self, log_snr: float) -> float:
        """The time at which the half log-SNR has a value; inverse of :meth:`log_snr`."""

    @abstractmethod
    def alpha_sigma(self, log_snr: float) -> tuple[float, float]:
        """Signal and noise scale at a half log-SNR, which may be infinite."""

    def edm_sigma(self, time: float) -> float:
        """``sigma / alpha``: the noise level in the scaling of Karras et al. 2022."""
        return math.exp(-self.log_snr(time))

    def rounded(self, time: float) -> float:
        """A time as a search writes it: to 1e-3 of the unit."""
        return float(round(time, round(-math.log10(1e-3 * self.unit))))

    def training_time(self, index: float) -> float:
        """The time of discrete training step ``index`` in 0..T-1 (real values interpolate)."""
        # Multiplied before it is divided, so that whole indices of discrete models stay whole.
        return self.last + index * (self.first - self.last) / (self.train_steps - 1)


class VariancePreserving(NoiseSchedule):
    """Discrete betas of DDPM and its successors; between integers the log-SNR is linear in time.

    Args:
        name: ``linear`` (Ho et al. 2020), ``scaled_linear`` (latent diffusion: linear in the
            square root) or ``cosine`` (Nichol & Dhariwal 2021, betas capped at 0.999).
        train_steps: number of training times T; times run from 0 to T - 1.
        betas: the first and the last beta; those of the publication by default. The cosine has
            none of its own.
        trained_betas: all T betas, to 9 digits, in place of name, number and ends.
        snr_shift: what the signal-to-noise ratio is divided by at every time, as in CogVideoX.
        zero_snr: whether the square roots of ``alphas_cumprod`` are then moved and stretched so
            that the last is 0 (Lin et al. 2024, algorithm 1): the last time is pure noise.

    At integer times alpha and sigma are those of the discrete process. Linear interpolation of
    the log-SNR follows DPM-Solver's discrete schedule in spirit, which interpolates log alpha;
    before a last time of pure noise it is alpha that falls linearly to 0.

    What differs from the publication is part of the schedule's name, such as
    ``linear:0.0001:0.03:1000``, ``cosine:500``, ``scaled_linear:snr_shift=3:zero_snr`` or
    ``trained:0.001:0.002:...``, which :func:`get_schedule` reads.
    """

    family: ScheduleFamily = "vp"
    last = 0.0
    pure_noise = ZERO_SNR_FLOOR

    def __init__(
        self,
        name: str = "linear",
        *,
        train_steps: int = _TRAIN_STEPS,
        betas: tuple[float, float] | None = None,
        trained_betas: Sequence[float] | None = None,
        snr_shift: float = 1.0,
        zero_snr: bool = False,
    ) -> None:
        if trained_betas is not None:
            table = np.array([float(f"{beta:.9g}") for beta in trained_betas])
            parts = [_TRAINED, *(f"{beta:.9g}" for beta in table.tolist())]
            _check_betas(_TRAINED, table.tolist(), len(table))
        else:
            table, parts = _published(name, betas, train_steps)
        if not snr_shift > 0:
            raise UserError(
                f"variance-preserving schedule {parts[0]!r}: snr_shift is {snr_shift:g}; it must "
                "be above 0"
            )
        parts += [f"{_SNR_SHIFT}{snr_shift:.9g}"] * (snr_shift != 1) + [_ZERO_SNR] * zero_snr
        self.name = ":".join(parts)
        self.train_steps = len(table)
        self.first = float(self.train_steps - 1)
        level = np.cumprod(1.0 - table)
        level = level / (snr_shift + (1.0 - snr_shift) * level)
        if zero_snr:
            root = np.sqrt(level)
            level = ((root - root[-1]) * (root[0] / (root[0] - root[-1]))) ** 2
        with np.errstate(divide="ignore"):
            self._log_snr = 0.5 * (np.log(level) - np.log1p(-level))
        self._times = np.arange(self.train_steps, dtype=np.float64)
        # How fast alpha falls to 0 in the last interval, where it does.
        self._alpha_slope = math.sqrt(level[-2]) if zero_snr else None

    @property
    def alphas_cumprod(self) -> Array:
        """[T] cumulative product of ``1 - beta``, as the training libraries store it."""
        cumulative: Array = 1.0 / (1.0 + np.exp(-2.0 * self._log_snr))
        return cumulative

    def log_snr(self, time: float) -> float:
        if self._alpha_slope is not None and time > self.first - 1:
            alpha = self._alpha_slope * max(self.first - time, 0.0)
            return math.log(alpha) - 0.5 * math.log1p(-(alpha**2)) if alpha > 0 else -math.inf
        return float(np.interp(time, self._times, self._log_snr))

    def time(self, log_snr: float) -> float:
        if self._alpha_slope is not None and log_snr < self._log_snr[-2]:
            return self.first - self.alpha_sigma(log_snr)[0] / self._alpha_slope
        return float(np.interp(log_snr, self._log_snr[::-1], self._times[::-1]))

    def alpha_sigma(self, log_snr: float) -> tuple[float, float]:
        return math.sqrt(_sigmoid(2 * log_snr)), math.sqrt(_sigmoid(-2 * log_snr))


class EDM(NoiseSchedule):
    """``alpha = 1, sigma = t`` (Karras et al. 2022), for t from ``sigma_max`` to ``sigma_min``."""

    family: ScheduleFamily = "edm"
    name = "edm"
    unit = 0.01
    min_gap = 5e-4

    def __init__(self, *, sigma_min: float = 0.002, sigma_max: float = 80.0) -> None:
        self.first, self.last = sigma_max, sigma_min

    def log_snr(self, time: float) -> float:
        return math.inf if time <= 0 else -math.log(time)

    def time(self, log_snr: float) -> float:
        return math.exp(-log_snr)

    def alpha_sigma(self, log_snr: float) -> tuple[float, float]:
        return 1.0, math.exp(-log_snr)


class RectifiedFlow(NoiseSchedule):
    """``alpha = 1 - t, sigma = t`` for t from 1 (pure noise, log-SNR minus infinity) to 0.

    Args:
        shift: ``s`` of the model's users, who sample at ``s t / (1 + (s - 1) t)`` (Esser et al.
            2024, eq. 23). Grids know it; the noise at a time is the same whatever it is.
    """

    family: ScheduleFamily = "flow"
    name = "rectified"
    first, last = 1.0, 0.001
    unit = 0.01
    min_gap = 1e-3

    def __init__(self, *, shift: float = 3.0) -> None:
        self.shift = shift

    @property
    def least(self) -> float:
        """Any time above 0: a shift below 1 leads beyond ``last``."""
        return 1e-9

    def log_snr(self, time: float) -> float:
        if time >= 1:
            return -math.inf
        return math.inf if time <= 0 else math.log1p(-time) - math.log(time)

    def time(self, log_snr: float) -> float:
        return _sigmoid(-log_snr)

    def alpha_sigma(self, log_snr: float) -> tuple[float, float]:
        return _sigmoid(log_snr), _sigmoid(-log_snr)


def get_schedule(family: str, name: str) -> NoiseSchedule:
    """The schedule that a recipe or a model's metadata names."""
    if family == "vp":
        return _named_betas(name)
    others: dict[str, type[EDM] | type[RectifiedFlow]] = {"edm": EDM, "flow": RectifiedFlow}
    if family not in others:
        raise unknown_name("schedule family", family, ["vp", *others])
    schedule = others[family]()
    if name != schedule.name:
        raise unknown_name(f"{family} schedule", name, [schedule.name])
    return schedule


def _named_betas(name: str) -> VariancePreserving:
    """The schedule of a name with or without what differs from the publication."""
    published, *parts = name.split(":")
    if not parts or published not in (*_BETAS, _TRAINED):
        return VariancePreserving(name)
    zero_snr = parts[-1] == _ZERO_SNR
    parts = parts[: len(parts) - zero_snr]
    shifted = bool(parts) and parts[-1].startswith(_SNR_SHIFT)
    try:
        snr_shift = float(parts.pop().removeprefix(_SNR_SHIFT)) if shifted else 1.0
        numbers = [float(text) for text in parts]
        schedule = _numbered(published, numbers, snr_shift=snr_shift, zero_snr=zero_snr)
    except (ValueError, IndexError):
        schedule = None
    if schedule is None or schedule.name != name:
        raise unknown_name("variance-preserving schedule", shortened(name), _BETAS)
    return schedule


def _numbered(
    published: str, numbers: Sequence[float], *, snr_shift: float, zero_snr: bool
) -> VariancePreserving:
    if published == _TRAINED:
        return VariancePreserving(trained_betas=numbers, snr_shift=snr_shift, zero_snr=zero_snr)
    *ends, steps = numbers or [_TRAIN_STEPS]
    betas = (ends[0], ends[1]) if ends else None
    return VariancePreserving(
        published, train_steps=int(steps), betas=betas, snr_shift=snr_shift, zero_snr=zero_snr
    )


def _published(
    name: str, betas: tuple[float, float] | None, train_steps: int
) -> tuple[Array, list[str]]:
    """The betas of a publication, or such ones with other numbers, and the parts of their name."""
    if name not in _BETAS:
        raise unknown_name("variance-preserving schedule", name, _BETAS)
    published = _BETAS[name]
    ends = published if betas is None or name == "cosine" else betas
    _check_betas(name, ends, train_steps)
    differs = ends != published or train_steps != _TRAIN_STEPS
    numbers = [*(f"{end:.9g}" for end in ends), str(train_steps)] if differs else []
    return _betas(name, ends, train_steps), [name, *numbers]


def _check_betas(name: str, betas: Sequence[float], steps: int) -> None:
    if steps < 2 or not all(0 < beta < 1 for beta in betas):
        raise UserError(
            f"variance-preserving schedule {name!r}: betas {shortened(list(betas))} over {steps} "
            "times; betas lie between 0 and 1, over two times at least"
        )


def _betas(name: str, ends: Sequence[float], steps: int) -> Array:
    if name == "cosine":
        return _cosine_betas(steps)
    if name == "scaled_linear":
        return np.linspace(ends[0] ** 0.5, ends[1] ** 0.5, steps) ** 2
    return np.linspace(ends[0], ends[1], steps)


def _sigmoid(x: float) -> float:
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    z = math.exp(x)
    return z / (1.0 + z)


def _cosine_betas(steps: int) -> Array:
    def level(share: Array) -> Array:
        return np.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2

    index = np.arange(steps)
    return np.minimum(1.0 - level((index + 1) / steps) / level(index / steps), 0.999)
