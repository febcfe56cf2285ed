"""Baselines of models that came with a scheduler, beside the schedulers of diffusers."""

import importlib
import inspect
import math
import pkgutil
from collections.abc import Mapping
from typing import Any

import diffusers
import numpy as np
import pytest
from diffusers import schedulers
from diffusers.configuration_utils import ConfigMixin
from diffusers.pipelines.flux.pipeline_flux import calculate_shift

from autosearch.baselines import SOLVERS, baseline, baseline_names
from autosearch.baselines.fine import fine_dpmpp
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.errors import UserError
from autosearch.models.diffusers.schedule import model_noise
from autosearch.models.diffusers.scheduler_config import INERT_KEYS, LEVEL_KEYS
from autosearch.models.diffusers.scheduler_grids import SchedulerGrids
from autosearch.models.exact import ExactDenoiser, Mixture

Config = dict[str, Any]
_EULER = "FlowMatchEulerDiscreteScheduler"
_SHIFTS = {"base_image_seq_len": 256, "base_shift": 0.5, "num_train_timesteps": 1000}
_FLUX = {"_class_name": _EULER, **_SHIFTS, "max_image_seq_len": 4096, "max_shift": 1.15}
_WAN = {
    "_class_name": "UniPCMultistepScheduler",
    "num_train_timesteps": 1000,
    "prediction_type": "flow_prediction",
    "use_flow_sigmas": True,
    "solver_order": 2,
    "final_sigmas_type": "zero",
}
# ``scheduler_config.json`` of each as published, and whether its pipeline hands in the levels.
FLOWS: Mapping[str, tuple[Config, bool]] = {
    "flux-dev": ({**_FLUX, "shift": 3.0, "use_dynamic_shifting": True}, True),
    "flux-schnell": ({**_FLUX, "shift": 1.0, "use_dynamic_shifting": False}, True),
    "sd3": ({"_class_name": _EULER, "num_train_timesteps": 1000, "shift": 3.0}, False),
    "wan-480p": ({**_WAN, "flow_shift": 3.0}, False),
    "wan-720p": ({**_WAN, "flow_shift": 5.0}, False),
    "sana": ({**_WAN, "_class_name": "DPMSolverMultistepScheduler", "flow_shift": 3.0}, False),
    "qwen-image": (
        {
            "_class_name": _EULER,
            **_SHIFTS,
            "max_image_seq_len": 8192,
            "max_shift": 0.9,
            "shift": 1.0,
            "shift_terminal": 0.02,
            "time_shift_type": "exponential",
            "use_dynamic_shifting": True,
        },
        True,
    ),
    "qwen-lightning": (
        {
            "_class_name": _EULER,
            **_SHIFTS,
            "base_shift": math.log(3),
            "max_image_seq_len": 8192,
            "max_shift": math.log(3),
            "shift": 1.0,
            "time_shift_type": "exponential",
            "use_dynamic_shifting": True,
        },
        True,
    ),
    "linear-shift": (
        {**_FLUX, "use_dynamic_shifting": True, "time_shift_type": "linear"},
        True,
    ),
    "flow-karras": ({"_class_name": _EULER, "shift": 3.0, "use_karras_sigmas": True}, False),
    "flow-beta": ({"_class_name": _EULER, "shift": 3.0, "use_beta_sigmas": True}, True),
    "unipc-smallest": ({**_WAN, "flow_shift": 3.0, "final_sigmas_type": "sigma_min"}, False),
    "heun": ({"_class_name": "FlowMatchHeunDiscreteScheduler", "shift": 3.0}, False),
}
_LINEAR = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
_SCALED = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
BETAS: Mapping[str, Config] = {
    "sd15": {
        "_class_name": "PNDMScheduler",
        **_SCALED,
        "num_train_timesteps": 1000,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "trained_betas": None,
        "clip_sample": False,
    },
    "sdxl": {
        "_class_name": "EulerDiscreteScheduler",
        **_SCALED,
        "interpolation_type": "linear",
        "prediction_type": "epsilon",
        "steps_offset": 1,
        "timestep_spacing": "leading",
        "use_karras_sigmas": False,
    },
    "cogvideox": {
        "_class_name": "CogVideoXDDIMScheduler",
        **_SCALED,
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "snr_shift_scale": 3.0,
        "timestep_spacing": "trailing",
    },
    "dit": {"_class_name": "DDIMScheduler", **_LINEAR, "clip_sample": False},
    "pixart": {
        "_class_name": "DPMSolverMultistepScheduler",
        **_LINEAR,
        "lambda_min_clipped": -5.0,
        "use_lu_lambdas": True,
    },
}
TOKENS = 4096
_NAMED = ("ddim", "euler", "heun", "dpmpp_2m", "dpmpp_2s", "deis", "unipc", "unipc_3")


def denoiser_of(config: Config, *, even: bool = False, tokens: int | None = None) -> ExactDenoiser:
    """An exact denoiser of the noise that a configuration describes, with its grids."""
    grids = SchedulerGrids(config, even=even, tokens=tokens)
    made = ExactDenoiser(
        Mixture.random(components=2, dimension=2, seed=1), grids.schedule, grids.prediction
    )
    made.own_grids = grids
    return made


def plan_of(name: str, denoiser: ExactDenoiser) -> Plan:
    return compile_recipe(baseline(name, denoiser), denoiser)


def set_flow(config: Config, steps: int, *, even: bool) -> Any:
    """The scheduler of a flow, called as its pipeline calls it."""
    made = getattr(diffusers, config["_class_name"]).from_config(config)
    call: Config = {"num_inference_steps": steps}
    if even:
        call["sigmas"] = np.linspace(1.0, 1 / steps, steps)
    if config.get("use_dynamic_shifting"):
        ends = (config["base_image_seq_len"], config["max_image_seq_len"])
        call["mu"] = calculate_shift(TOKENS, *ends, config["base_shift"], config["max_shift"])
    made.set_timesteps(**call)
    return made


@pytest.mark.parametrize("name", FLOWS)
def test_flows_run_at_the_levels_and_times_of_their_own_scheduler(name: str) -> None:
    config, even = FLOWS[name]
    denoiser = denoiser_of(config, even=even, tokens=TOKENS)
    single: Config = {"shift_terminal": None}
    published = name.startswith(("flux", "sd3", "wan", "sana", "qwen-image"))
    for steps in range(1, 51) if published else (1, 2, 5, 20, 50):
        # One step stretched to the terminal is not a number in diffusers.
        theirs = set_flow({**config, **single} if steps == 1 else config, steps, even=even)
        stride = theirs.order
        times = (theirs.timesteps.double() / 1000).tolist()[::stride]
        sigmas = theirs.sigmas.double().tolist()[::stride]
        for solver in ("ddim", "dpmpp_2m", "unipc") if steps in (1, 4, 50) else ("unipc",):
            plan = plan_of(f"{solver}@{steps}", denoiser)
            assert [step.time for step in plan.steps] == pytest.approx(times, abs=1e-7)
            assert plan.start_scale == 1
            ends = [*plan.steps, None]
            for step, level in zip(ends, [*sigmas[:steps], theirs.sigmas[-1]], strict=True):
                own = step.log_snr if step is not None else plan.steps[-1].next_log_snr
                assert denoiser.schedule.time(own) == pytest.approx(float(level), rel=2e-6)


# The class of diffusers that a user of each solver takes, and what each baseline is named.
_CLASSES = {name: SOLVERS[name].scheduler for name in (*_NAMED, "ddpm")}


@pytest.mark.parametrize("solver", _CLASSES)
@pytest.mark.parametrize("name", BETAS)
def test_betas_run_at_the_levels_and_times_of_the_solvers_scheduler(name: str, solver: str) -> None:
    """As ``Scheduler.from_config(pipeline.scheduler.config)`` makes them."""
    config = BETAS[name]
    kind = getattr(diffusers, _CLASSES[solver])
    denoiser = denoiser_of(config)
    knows = "snr_shift_scale" not in config
    for steps in (1, 2, 3, 5, 8, 20, 50):
        theirs = kind.from_config(config)
        theirs.set_timesteps(steps)
        recipe = baseline(f"{solver}@{steps}", denoiser)
        times = theirs.timesteps.double().tolist()[:: theirs.order][:steps]
        assert [step.time for step in recipe.steps] == pytest.approx(times, abs=1e-6)
        if not hasattr(theirs, "sigmas"):
            whole = solver == "ddpm" or theirs.config.set_alpha_to_one
            expected = "clean" if whole else pytest.approx(denoiser.schedule.log_snr(0.0))
            assert recipe.end == expected
        elif knows:
            plan = compile_recipe(recipe, denoiser)
            levels = [math.exp(-step.log_snr) for step in plan.steps]
            levels.append(math.exp(-plan.steps[-1].next_log_snr))
            sigmas = theirs.sigmas.double().tolist()
            # Diffusers sums its table in single precision.
            expected = [*sigmas[:: theirs.order][:steps], sigmas[-1]]
            assert levels == pytest.approx(expected, rel=3e-4)


def test_solvers_in_sigma_start_at_the_scale_of_their_scheduler() -> None:
    for name, solver in (("sd15", "euler"), ("sdxl", "euler"), ("cogvideox", "euler")):
        denoiser = denoiser_of(BETAS[name])
        theirs = diffusers.EulerDiscreteScheduler.from_config(BETAS[name])
        theirs.set_timesteps(7)
        plan = plan_of(f"{solver}@7", denoiser)
        alpha, _ = denoiser.schedule.alpha_sigma(plan.steps[0].log_snr)
        expected = float(theirs.init_noise_sigma) * alpha
        assert plan.start_scale == pytest.approx(expected, rel=1e-3)


def test_flow_shift_is_the_models_own() -> None:
    config, _ = FLOWS["wan-720p"]
    times = [step.time for step in baseline("ddim-flow-shift@4", denoiser_of(config)).steps]
    assert times == pytest.approx([1, 15 / 16, 5 / 6, 5 / 8])
    config, _ = FLOWS["flux-dev"]
    times = [
        step.time for step in baseline("ddim-flow-shift@4", denoiser_of(config, tokens=4096)).steps
    ]
    assert times == pytest.approx([1, 0.9045, 0.7595, 0.5128], abs=1e-4)


def test_every_grid_has_a_name_besides_the_models_own() -> None:
    denoiser = denoiser_of(BETAS["sd15"])
    names = baseline_names(denoiser.schedule, solvers=["ddim"], own_grids=denoiser.own_grids)
    assert names[:2] == ["ddim", "ddim-leading"]
    assert baseline("ddim@5", denoiser) != baseline("ddim-leading@5", denoiser)


_UNIPC = {"_class_name": "UniPCMultistepScheduler"}
_SPACED = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
_TABLES = {"linear": {}, "scaled_linear": _SCALED, "cosine": {"beta_schedule": "squaredcos_cap_v2"}}


@pytest.mark.parametrize("end", ["zero", "sigma_min"])
@pytest.mark.parametrize("spaced", _SPACED)
@pytest.mark.parametrize("betas", _TABLES)
def test_grids_that_round_their_times_are_never_refused(betas: str, spaced: str, end: str) -> None:
    config = {**_UNIPC, **_TABLES[betas], spaced: True, "final_sigmas_type": end}
    denoiser = denoiser_of(config)
    theirs = diffusers.UniPCMultistepScheduler.from_config(config)
    for steps in (*range(1, 12), 45, 79, 100):
        theirs.set_timesteps(steps)
        plan = plan_of(f"unipc@{steps}", denoiser)
        assert [step.time for step in plan.steps] == theirs.timesteps.tolist()
        levels = [math.exp(-step.log_snr) for step in plan.steps]
        assert levels == pytest.approx(theirs.sigmas[:-1].tolist(), rel=3e-4)
        last = math.exp(-plan.steps[-1].next_log_snr)
        assert last == pytest.approx(float(theirs.sigmas[-1]), rel=3e-4)


def _classes() -> dict[str, Config]:
    """Every scheduler that diffusers has, with the defaults of its keys.

    Those whose other packages are missing here are left out by diffusers itself.
    """
    found = {}
    for module in pkgutil.iter_modules(schedulers.__path__):
        try:
            loaded = importlib.import_module(f"{schedulers.__name__}.{module.name}")
        except ImportError:
            continue
        for name, one in vars(loaded).items():
            own = inspect.isclass(one) and one.__module__ == loaded.__name__
            if own and issubclass(one, ConfigMixin):
                parameters = inspect.signature(one.__init__).parameters.values()
                named = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
                found[name] = {p.name: p.default for p in named if p.name != "self"}
    return found


CLASSES = _classes()
# Another value of each key that says something of levels, and what else must be so for it to.
_FLOWING = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
_DYNAMIC = {"use_dynamic_shifting": True}
_TOGGLES: Mapping[str, tuple[Any, Config]] = {
    "num_train_timesteps": (500, {}),
    "beta_start": (0.002, {"beta_schedule": "linear"}),
    "beta_end": (0.03, {"beta_schedule": "linear"}),
    "beta_schedule": ("squaredcos_cap_v2", {"beta_schedule": "linear"}),
    "trained_betas": (np.linspace(0.001, 0.01, 1000).tolist(), {}),
    "rescale_betas_zero_snr": (True, {}),
    "snr_shift_scale": (2.0, {}),
    "prediction_type": ("sample", {}),
    "timestep_spacing": ("trailing", {}),
    "timestep_type": ("continuous", {}),
    "steps_offset": (1, {"timestep_spacing": "leading"}),
    "set_alpha_to_one": (None, {}),
    "interpolation_type": ("log_linear", {}),
    "lambda_min_clipped": (-4.0, {}),
    "final_sigmas_type": ("sigma_min", {}),
    "sigma_min": (0.1, {"use_karras_sigmas": True}),
    "sigma_max": (10.0, {"use_karras_sigmas": True}),
    "use_karras_sigmas": (True, {}),
    "use_exponential_sigmas": (True, {}),
    "use_beta_sigmas": (True, {}),
    "use_lu_lambdas": (True, {}),
    "use_flow_sigmas": (True, {"prediction_type": "flow_prediction"}),
    "flow_shift": (2.0, _FLOWING),
    "shift": (2.0, {}),
    "shift_terminal": (0.1, {**_FLOWING, "shift": 1.0}),
    "invert_sigmas": (True, {}),
    "use_dynamic_shifting": (True, {**_FLOWING, "base_shift": 0.7}),
    "time_shift_type": ("linear", {**_FLOWING, **_DYNAMIC}),
    "base_shift": (0.7, _DYNAMIC),
    "max_shift": (2.0, _DYNAMIC),
    "base_image_seq_len": (100, _DYNAMIC),
    "max_image_seq_len": (9000, _DYNAMIC),
}


def reading(config: Config) -> object:
    """All that is read of a configuration: the noise, and the grids of the usual solvers.

    Of the others only the grid of its own class's, to keep the walk through all keys short.
    """
    grids = SchedulerGrids(config, tokens=1000)
    all_kinds = {solver.scheduler for solver in SOLVERS.values()}
    usual = {solver.scheduler for solver in SOLVERS.values() if solver.usual}
    kinds = sorted(usual | (all_kinds & {str(config["_class_name"])}))
    shift = getattr(grids.schedule, "shift", None)
    return grids.schedule.name, shift, grids.prediction, [grids(kind, 5) for kind in kinds]


def reading_or_refusal(config: Config) -> object:
    try:
        return reading(config)
    except UserError as error:
        return str(error)


SUPPORTED, OTHERS = [], []
for _kind in CLASSES:
    _list = OTHERS if isinstance(reading_or_refusal({"_class_name": _kind}), str) else SUPPORTED
    _list.append(_kind)


@pytest.mark.parametrize("kind", OTHERS)
def test_schedulers_that_are_not_supported_are_refused_by_their_name(kind: str) -> None:
    refusal = reading_or_refusal({"_class_name": kind})
    assert isinstance(refusal, str)
    assert kind in refusal
    assert "\n" not in refusal


def test_the_walk_finds_the_schedulers_that_people_use() -> None:
    assert len(CLASSES) >= 40
    assert {SOLVERS[name].scheduler for name in SOLVERS} < set(SUPPORTED)
    assert {_EULER, "CogVideoXDDIMScheduler", "PNDMScheduler"} < set(SUPPORTED)


@pytest.mark.parametrize("kind", SUPPORTED)
def test_every_key_is_known_to_say_something_of_levels_or_not_to(kind: str) -> None:
    unknown = CLASSES[kind].keys() - LEVEL_KEYS - INERT_KEYS.keys()
    assert not unknown, f"{kind}: say in scheduler_config.py what {sorted(unknown)} change"


def test_no_key_is_of_both_kinds_or_of_no_scheduler() -> None:
    assert not LEVEL_KEYS & INERT_KEYS.keys()
    everywhere = {key for kind in SUPPORTED for key in CLASSES[kind]}
    # The last is of a scheduler that needs another package.
    assert LEVEL_KEYS | INERT_KEYS.keys() == everywhere | {"noise_sampler_seed"}
    assert set(_TOGGLES) == LEVEL_KEYS


@pytest.mark.parametrize("kind", SUPPORTED)
def test_every_key_of_levels_is_honoured_or_refused(kind: str) -> None:
    keys = CLASSES[kind]
    for key in sorted(LEVEL_KEYS & keys.keys()):
        value, others = _TOGGLES[key]
        value = not keys[key] if value is None else value
        context = {name: one for name, one in others.items() if name in keys}
        config = {"_class_name": kind, key: keys[key], **context}
        before, after = (reading_or_refusal(one) for one in (config, {**config, key: value}))
        assert "\n" not in str(after)
        assert before != after or isinstance(after, str), f"{kind}: {key} changes nothing"


@pytest.mark.parametrize("kind", SUPPORTED)
def test_keys_that_say_nothing_of_levels_change_nothing(kind: str) -> None:
    keys = CLASSES[kind]
    values = {
        "solver_order": 3,
        "predictor_order": 3,
        "corrector_order": 1,
        "disable_corrector": [0],
        "variance_type": "fixed_large",
        "algorithm_type": "sde-dpmsolver++",
        "solver_type": "heun",
    }
    changed = {
        key: values.get(key, not default if isinstance(default, bool) else 0.5)
        for key, default in keys.items()
        if key in INERT_KEYS
    }
    plain = {"_class_name": kind}
    assert reading(plain) == reading({**plain, **changed})


def test_keys_that_a_newer_diffusers_adds_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class DDIMScheduler:
        def __init__(self, num_train_timesteps: int = 1000, warp: float = 1.0) -> None: ...

    monkeypatch.setattr(diffusers, "DDIMScheduler", DDIMScheduler)
    config = {"_class_name": "DDIMScheduler", "beta_schedule": "squaredcos_cap_v2"}
    assert model_noise({**config, "warp": 1.0}, where="here")[0].name == "cosine"
    with pytest.raises(UserError, match=r"here: DDIMScheduler has warp 2\.0"):
        model_noise({**config, "warp": 2.0}, where="here")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"_class_name": "HeliosScheduler"}, "HeliosScheduler is not supported for flows"),
        ({"_class_name": "EDMEulerScheduler"}, "EDMEulerScheduler has neither betas"),
        ({"_class_name": _EULER, "num_train_timesteps": 500}, "num_train_timesteps 500"),
        ({**_WAN, "shift_terminal": 0.1, "use_flow_sigmas": False}, "set use_flow_sigmas"),
        ({**_UNIPC, "timestep_spacing": "uneven"}, "uneven is not supported"),
    ],
)
def test_refusals_are_one_line_that_names_the_cause(config: Config, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        reading(config)
    assert "\n" not in str(caught.value)


def test_a_dynamic_shift_without_a_size_is_refused() -> None:
    config = {"_class_name": _EULER, "use_dynamic_shifting": True}
    with pytest.raises(UserError, match="`mu` must be passed"):
        SchedulerGrids(config)(_EULER, 5)


@pytest.mark.parametrize(
    ("config", "even"),
    [(BETAS["sd15"], False), (BETAS["pixart"], False), (FLOWS["wan-720p"][0], False)],
)
def test_finer_recipes_pass_through_rounded_times(config: Config, even: bool) -> None:
    denoiser = denoiser_of(config, even=even)
    for name in ("dpmpp_2m@7", "unipc@7"):
        fine, counts = fine_dpmpp(baseline(name, denoiser), denoiser, steps=70)
        assert counts[-1] == len(compile_recipe(fine, denoiser).steps) >= 61


@pytest.mark.parametrize("solver", ["dpmpp_2m", "dpmpp_2s", "deis", "heun", "unipc", "euler"])
def test_ends_of_karras_levels_are_every_solver_s(solver: str) -> None:
    """A class reads them though only Euler's configuration takes them."""
    ends = {"use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 10.0}
    config = {"_class_name": "EulerDiscreteScheduler", "beta_schedule": "scaled_linear", **ends}
    config |= {"beta_start": 0.00085, "beta_end": 0.012}
    denoiser = denoiser_of(config)
    own = diffusers.EulerDiscreteScheduler.from_config(config).config
    theirs = getattr(diffusers, _CLASSES[solver]).from_config(own)
    theirs.set_timesteps(8)
    plan = compile_recipe(baseline(f"{solver}@8", denoiser), denoiser)
    levels = [math.exp(-plan.steps[0].log_snr), math.exp(-plan.steps[-1].log_snr)]
    sigmas = theirs.sigmas.double().tolist()
    assert levels == pytest.approx([sigmas[0], sigmas[-2]], rel=1e-3)
    assert levels == pytest.approx([10.0, 0.1], rel=1e-3)


def test_a_shift_below_one_leads_below_the_usual_last_time() -> None:
    config = {"_class_name": _EULER, "num_train_timesteps": 1000, "shift": 0.5}
    denoiser = denoiser_of(config)
    theirs = diffusers.FlowMatchEulerDiscreteScheduler.from_config(config)
    for steps in (2, 8, 50):
        theirs.set_timesteps(steps)
        recipe = baseline(f"unipc@{steps}", denoiser)
        found = [step.time for step in compile_recipe(recipe, denoiser).steps]
        assert found == pytest.approx(theirs.sigmas[:-1].tolist(), abs=2e-6)
    assert found[-1] < denoiser.schedule.last
