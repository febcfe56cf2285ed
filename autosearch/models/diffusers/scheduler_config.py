"""The keys of schedulers' configurations: which say something of levels and times, which do not."""

import inspect
from collections.abc import Mapping
from typing import Any

from autosearch.errors import UserError, shortened
from autosearch.models.diffusers.optional_import import diffusers

__all__ = ["INERT_KEYS", "LEVEL_KEYS", "scheduler_config", "scheduler_defaults"]

# Keys that decide noise levels or times: read, handed to diffusers' scheduler, or refused.
LEVEL_KEYS = frozenset(
    {
        "num_train_timesteps",
        "beta_start",
        "beta_end",
        "beta_schedule",
        "trained_betas",
        "rescale_betas_zero_snr",
        "snr_shift_scale",
        "prediction_type",
        "timestep_spacing",
        "timestep_type",
        "steps_offset",
        "set_alpha_to_one",
        "interpolation_type",
        "lambda_min_clipped",
        "final_sigmas_type",
        "sigma_min",
        "sigma_max",
        "use_karras_sigmas",
        "use_exponential_sigmas",
        "use_beta_sigmas",
        "use_lu_lambdas",
        "use_flow_sigmas",
        "flow_shift",
        "shift",
        "shift_terminal",
        "invert_sigmas",
        "use_dynamic_shifting",
        "time_shift_type",
        "base_shift",
        "max_shift",
        "base_image_seq_len",
        "max_image_seq_len",
    }
)
_CLIPS = "clips the predicted data; baselines do not clip"
_SOLVER = "chooses the solver, which a baseline's name says"
_NOISE = "chooses the noise that is added, which a baseline's name says"
# Keys that change neither levels nor times, with the reason.
INERT_KEYS: Mapping[str, str] = {
    "clip_sample": _CLIPS,
    "clip_sample_range": _CLIPS,
    "thresholding": _CLIPS,
    "dynamic_thresholding_ratio": _CLIPS,
    "sample_max_value": _CLIPS,
    "algorithm_type": _SOLVER,
    "solver_order": _SOLVER,
    "solver_type": _SOLVER,
    "solver_p": _SOLVER,
    "predict_x0": _SOLVER,
    "predictor_order": _SOLVER,
    "corrector_order": _SOLVER,
    "disable_corrector": _SOLVER,
    "lower_order_final": _SOLVER,
    "euler_at_final": _SOLVER,
    "skip_prk_steps": "chooses PNDM's own first steps, which no baseline takes",
    "variance_type": _NOISE,
    "tau_func": _NOISE,
    "eta": _NOISE,
    "stochastic_sampling": _NOISE,
    "noise_sampler_seed": _NOISE,
}


def scheduler_defaults(kind: str) -> dict[str, Any]:
    """The keys of a scheduler's class and their defaults; none of a class that cannot be looked at.

    Args:
        kind: the name of the class.
    """
    made = getattr(diffusers(), kind, None)
    if made is None:
        return {}
    parameters = inspect.signature(made.__init__).parameters.values()
    keywords = (one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD)
    return {one.name: one.default for one in keywords if one.name != "self"}


def scheduler_config(config: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """The configuration of a scheduler with what its class takes where a key is not given.

    Args:
        config: as saved, with ``_class_name``.
        where: the scheduler's place, for messages.

    Raises:
        UserError: for a key that is neither known to say something of levels nor known not to.
    """
    defaults = scheduler_defaults(str(config.get("_class_name", "")))
    for key, default in defaults.items():
        value = config.get(key, default)
        if key not in LEVEL_KEYS and key not in INERT_KEYS and value != default:
            raise UserError(
                f"{where}: {config['_class_name']} has {key} {shortened(value)}, which is not "
                f"supported; supported: {shortened(default)}"
            )
    return {**defaults, **config}
