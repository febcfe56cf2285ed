"""What a scheduler's configuration says of its model: the noise schedule and the prediction."""

import math
from collections.abc import Mapping
from typing import Any

from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.errors import UserError
from autosearch.models.diffusers.scheduler_config import scheduler_config

__all__ = ["PREDICTIONS", "dynamic_shift", "model_noise"]

_NAMES = {"linear": "linear", "scaled_linear": "scaled_linear", "squaredcos_cap_v2": "cosine"}
PREDICTIONS: Mapping[str, Prediction] = {
    "epsilon": "noise",
    "v_prediction": "v",
    "sample": "data",
    "flow_prediction": "flow",
}
_FLOW = ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler")
# Solvers of betas that run flows too, with ``use_flow_sigmas``.
_FLOW_SIGMAS = (
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "SASolverScheduler",
    "UniPCMultistepScheduler",
)
# Students that were trained for a few fixed times: other times are not theirs.
_FIXED_TIMES = (
    "LCMScheduler",
    "TCDScheduler",
    "CMStochasticIterativeScheduler",
    "SCMScheduler",
    "FlowMatchLCMScheduler",
)
# Networks of flows are given their time in thousandths.
_FLOW_TIMES = 1000


def model_noise(
    config: Mapping[str, Any], *, where: str, mu: float | None = None
) -> tuple[NoiseSchedule, Prediction]:
    """Read the noise schedule and the prediction of the model behind a scheduler.

    Args:
        config: of the scheduler, as saved, with ``_class_name``.
        where: the scheduler's place, for messages.
        mu: of a flow whose shift depends on the size of its images; see :func:`dynamic_shift`.

    Raises:
        UserError: for a model whose times cannot be chosen, or whose noise we do not know.
    """
    kind = str(config.get("_class_name", ""))
    if kind in _FIXED_TIMES:
        raise UserError(
            f"{where}: {kind} belongs to a model distilled for fixed times, which cannot be "
            "searched; use the model that it was distilled from"
        )
    if kind == "RecipeScheduler":
        known = config["recipe"]["model"]
        raise UserError(
            f"{where}: holds a recipe for a {known['schedule']} model; give the model with its "
            "own scheduler"
        )
    config = scheduler_config(config, where=where)
    if kind in _FLOW or config.get("use_flow_sigmas"):
        return _flow(config, kind, where, mu)
    if "beta_schedule" not in config:
        raise UserError(
            f"{where}: {kind or 'this scheduler'} has neither betas nor a flow's sigmas, and "
            "only such models are supported"
        )
    prediction = _prediction(str(config.get("prediction_type") or "epsilon"), where)
    if prediction == "flow":
        raise UserError(
            f"{where}: prediction_type 'flow_prediction' without use_flow_sigmas is not supported; "
            "set use_flow_sigmas to true"
        )
    return _variance_preserving(config, where), prediction


def dynamic_shift(config: Mapping[str, Any], tokens: int) -> float | None:
    """``mu``, with which pipelines of flows shift times by the size of the image.

    Linear in the number of tokens, between two sizes of the configuration (Esser et al. 2024,
    section 5.3.2, as FLUX's authors release it).

    Args:
        config: of the scheduler.
        tokens: of the image: what the network's attention runs over.

    Returns:
        mu, or None for a scheduler that shifts all sizes alike.
    """
    if not config.get("use_dynamic_shifting"):
        return None
    low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    base, most = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    slope = (most - base) / (high - low)
    return float(slope * tokens + (base - slope * low))


def _flow(
    config: Mapping[str, Any], kind: str, where: str, mu: float | None
) -> tuple[NoiseSchedule, Prediction]:
    if kind not in (*_FLOW, *_FLOW_SIGMAS):
        raise UserError(
            f"{where}: {kind} is not supported for flows; valid: "
            f"{', '.join((*_FLOW, *_FLOW_SIGMAS))}"
        )
    if config.get("invert_sigmas"):
        raise UserError(f"{where}: {kind} with invert_sigmas is not supported")
    if config.get("num_train_timesteps", _FLOW_TIMES) != _FLOW_TIMES:
        raise UserError(
            f"{where}: num_train_timesteps {config['num_train_timesteps']} of a flow is not "
            f"supported; supported: {_FLOW_TIMES}"
        )
    schedule = RectifiedFlow(shift=_shift(config, mu))
    if kind in _FLOW:
        # These have no setting of the prediction, and take the network to predict the flow.
        return schedule, "flow"
    return schedule, _prediction(str(config.get("prediction_type")), where)


def _shift(config: Mapping[str, Any], mu: float | None) -> float:
    if config.get("use_dynamic_shifting") and mu is not None:
        return mu if config.get("time_shift_type") == "linear" else math.exp(mu)
    return float(config.get("shift", config.get("flow_shift", 1.0)))


def _prediction(name: str, where: str) -> Prediction:
    if name not in PREDICTIONS:
        raise UserError(
            f"{where}: prediction_type {name!r} is not supported; valid: {', '.join(PREDICTIONS)}"
        )
    return PREDICTIONS[name]


def _variance_preserving(config: Mapping[str, Any], where: str) -> NoiseSchedule:
    if config.get("timestep_type", "discrete") != "discrete":
        raise UserError(
            f"{where}: timestep_type {config['timestep_type']!r} is not supported; "
            "supported: 'discrete'"
        )
    changes: dict[str, Any] = {
        "snr_shift": float(config.get("snr_shift_scale", 1.0)),
        "zero_snr": bool(config.get("rescale_betas_zero_snr")),
    }
    trained, steps = config.get("trained_betas"), int(config.get("num_train_timesteps", 1000))
    if trained is not None:
        if len(trained) != steps:
            raise UserError(
                f"{where}: trained_betas has {len(trained)} numbers, but num_train_timesteps is "
                f"{steps}"
            )
        return VariancePreserving(trained_betas=[float(beta) for beta in trained], **changes)
    name = str(config["beta_schedule"])
    if name not in _NAMES:
        raise UserError(
            f"{where}: beta_schedule {name!r} is not supported; valid: {', '.join(_NAMES)}"
        )
    betas = None
    if _NAMES[name] != "cosine":
        missing = [key for key in ("beta_start", "beta_end") if config.get(key) is None]
        if missing:
            raise UserError(f"{where}: {missing[0]} is missing, and {name!r} betas need it")
        betas = (float(config["beta_start"]), float(config["beta_end"]))
    return VariancePreserving(_NAMES[name], train_steps=steps, betas=betas, **changes)
