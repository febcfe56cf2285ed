"""What a scheduler's configuration says of its model: the noise schedule and the prediction."""

from collections.abc import Mapping
from typing import Any

from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.errors import UserError

__all__ = ["model_noise"]

_NAMES = {"linear": "linear", "scaled_linear": "scaled_linear", "squaredcos_cap_v2": "cosine"}
_PREDICTIONS: Mapping[str, Prediction] = {
    "epsilon": "noise",
    "v_prediction": "v",
    "sample": "data",
    "flow_prediction": "flow",
}
_FLOW = ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler")
# Students that were trained for a few fixed times: other times are not theirs.
_FIXED_TIMES = (
    "LCMScheduler",
    "TCDScheduler",
    "CMStochasticIterativeScheduler",
    "SCMScheduler",
    "FlowMatchLCMScheduler",
)


def model_noise(config: Mapping[str, Any], *, where: str) -> tuple[NoiseSchedule, Prediction]:
    """Read the noise schedule and the prediction of the model behind a scheduler.

    Args:
        config: of the scheduler, as saved, with ``_class_name``.
        where: the scheduler's place, for messages.

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
    prediction = config.get("prediction_type")
    if kind in _FLOW or config.get("use_flow_sigmas") or prediction == "flow_prediction":
        return _flow(config, kind, where)
    if "beta_schedule" not in config:
        raise UserError(
            f"{where}: {kind or 'this scheduler'} has neither betas nor a flow's sigmas, and "
            "only such models are supported"
        )
    return _variance_preserving(config, where), _prediction(str(prediction or "epsilon"), where)


def _flow(config: Mapping[str, Any], kind: str, where: str) -> tuple[NoiseSchedule, Prediction]:
    if config.get("invert_sigmas"):
        raise UserError(f"{where}: {kind} with inverted sigmas is not supported")
    if kind in _FLOW:
        # These have no setting of the prediction, and take the network to predict the flow.
        return RectifiedFlow(), "flow"
    return RectifiedFlow(), _prediction(str(config.get("prediction_type")), where)


def _prediction(name: str, where: str) -> Prediction:
    if name not in _PREDICTIONS:
        raise UserError(
            f"{where}: prediction_type {name!r} is not supported; valid: {', '.join(_PREDICTIONS)}"
        )
    return _PREDICTIONS[name]


def _variance_preserving(config: Mapping[str, Any], where: str) -> NoiseSchedule:
    name = str(config["beta_schedule"])
    if config.get("trained_betas") is not None or name not in _NAMES:
        shown = "trained_betas" if config.get("trained_betas") is not None else name
        raise UserError(f"{where}: betas {shown!r} are not supported; valid: {', '.join(_NAMES)}")
    if config.get("rescale_betas_zero_snr"):
        raise UserError(
            f"{where}: rescale_betas_zero_snr starts at pure noise, which is not supported"
        )
    betas = (float(config.get("beta_start", 1e-4)), float(config.get("beta_end", 0.02)))
    steps = int(config.get("num_train_timesteps", 1000))
    return VariancePreserving(_NAMES[name], train_steps=steps, betas=betas)
