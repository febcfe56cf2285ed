"""DPM-Solver-v3 (2023): the model's statistics measured, and the steps that use them.

    l = E[sigma diag(d noise / d x)], by Hutchinson's estimate with signs v: v * (J' v)
    f = exp(-lambda) noise - l x / alpha, and its derivative f' along the trajectory
    s, b: the line from f to f', by least squares for each pixel

over the samples of a fine trajectory of the model itself; published on noised data, of which a
denoiser has none. The derivative of the noise along the trajectory is the central difference of
neighbouring levels in the place of one more Jacobian-vector product. As published, the derivative
of l is smoothed over 11 levels.
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from autosearch.baselines.base import Setting
from autosearch.baselines.fine import plain_step, with_plain_steps
from autosearch.baselines.fitted.base import Fit
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.diffusion.artifact_store import Provenance, pack_artifact
from autosearch.diffusion.classifier import GRADIENT_COST
from autosearch.diffusion.plan.plan import StepPlan
from autosearch.diffusion.prediction import to_data_and_noise
from autosearch.diffusion.solvers.forms.v3 import STATISTICS
from autosearch.errors import UserError
from autosearch.recipe import Artifact, Recipe

__all__ = [
    "FITS",
    "diagonal",
    "read_calibration",
    "statistics",
    "statistics_of",
    "with_statistics",
    "write_calibration",
]

_LEVELS = 120
_SAMPLES = 100
_WINDOW = 11
_REMEDY = "measure this model: autosearch calibrate"


def statistics(
    recipe: Recipe, calibrator: Calibrator, *, levels: int = _LEVELS, samples: int = _SAMPLES
) -> Artifact:
    """Measure statistics of a model as a recipe's first step guides it; keep them in its store.

    What the artifact store has already is not measured again.

    Args:
        recipe: whose first step says how the model is guided.
        calibrator: the model.
        levels: how many even steps of half log-SNR, log(alpha/sigma); published: 120 to 1200.
        samples: published: 1024 and more.

    Raises:
        UserError: for guidance other than the classifier-free one, and for models without
            gradients.
    """
    guidance = [rule.model_dump(exclude_defaults=True) for rule in recipe.steps[0].guidance]
    settings = {"levels": levels, "samples": samples, "guidance": guidance}
    provenance = Provenance(STATISTICS, settings, calibrator.denoiser.weights, calibrator.seed)
    known = calibrator.artifact_store.find(provenance)
    if known is not None:
        return known
    if not hasattr(calibrator.denoiser, "differentiable"):
        raise UserError("DPM-Solver-v3: this model gives no gradients; use another solver")
    fine = _fine_recipe(recipe, calibrator, levels)
    plan = calibrator.plan(fine)
    # Of a flow's start at pure noise there is nothing to measure.
    first = len(plan.steps) - levels - 1
    states = calibrator.states(fine, samples)[first:]
    condition = calibrator.condition(samples)
    diagonals, noises = [], []
    for step, state, after in zip(plan.steps[first:], states, states[1:], strict=False):
        assert after.evaluation is not None
        assert after.evaluation.noise is not None  # the trajectory ends before the clean end
        noises.append(after.evaluation.noise.double())
        signs = torch.randint(0, 2, state.x.shape, generator=calibrator.generator) * 2.0 - 1.0
        diagonals.append(diagonal(calibrator, step, state.x, condition, signs))
    log_snrs = torch.tensor([step.log_snr for step in plan.steps[first:]], dtype=torch.float64)
    scales = [
        calibrator.denoiser.schedule.alpha_sigma(step.log_snr)[0] for step in plan.steps[first:]
    ]
    y = torch.stack(
        [state.x.double() / scale for state, scale in zip(states, scales, strict=False)]
    )
    tensors = statistics_of(log_snrs, y, torch.stack(noises), torch.stack(diagonals))
    return calibrator.keep(
        STATISTICS, settings, {name: one.float() for name, one in tensors.items()}
    )


def diagonal(
    calibrator: Calibrator, step: StepPlan, x: Tensor, condition: Tensor | None, signs: Tensor
) -> Tensor:
    """Hutchinson's estimate [*sample_shape] of ``sigma diag(d noise / d x)``, over samples.

    Args:
        calibrator: the model.
        step: how the model is asked.
        x: [N, *sample_shape].
        condition: labels [N], or None.
        signs: as ``x``, independent and of mean square 1.
    """
    alpha, sigma = calibrator.denoiser.schedule.alpha_sigma(step.log_snr)
    with torch.inference_mode(False), torch.enable_grad():
        x = x.clone().requires_grad_()
        signs = signs.to(device=x.device, dtype=x.dtype)
        times = torch.full((len(x),), step.time, device=x.device, dtype=x.dtype)
        total = torch.zeros_like(x)
        for branch, weight in zip(step.branches, step.weights, strict=True):
            prediction = calibrator.denoiser.differentiable(  # type: ignore[attr-defined]
                x, times, condition, given=branch.condition
            )
            total = total + weight * prediction
        _, noise = to_data_and_noise(calibrator.denoiser.prediction, total, x, alpha, sigma)
        assert noise is not None
        (product,) = torch.autograd.grad((noise * signs).sum(), x)
    calibrator.count((1 + GRADIENT_COST) * len(step.branches) * len(x))
    return sigma * (signs * product).double().mean(0)


def statistics_of(log_snrs: Tensor, y: Tensor, noise: Tensor, linear: Tensor) -> dict[str, Tensor]:
    """The table ``log_snr`` [levels], ``l``, ``s``, ``b`` [levels, *sample_shape].

    Args:
        log_snrs: half log-SNR, log(alpha/sigma) [levels], even.
        y: states over alpha [levels, N, *sample_shape] along trajectories.
        noise: what was predicted there.
        linear: l [levels, *sample_shape].
    """
    step = float(log_snrs[1] - log_snrs[0])
    fall = torch.exp(-log_snrs).reshape(-1, *([1] * (y.dim() - 1)))
    slope = _smoothed(torch.gradient(linear, spacing=step, dim=0)[0])[:, None]
    rate = torch.gradient(noise, spacing=step, dim=0)[0]
    own = linear[:, None]
    f = fall * noise - own * y
    change = fall * ((own - 1) * noise + rate) - slope * y
    centred = f - f.mean(1, keepdim=True)
    variance = (centred**2).mean(1)
    # Where f is the same for all samples, its derivative is a constant.
    least = 1e-10 * (f**2).mean(1) + 1e-30
    covariance = (centred * change).mean(1)
    scale = torch.where(variance > least, covariance / variance, torch.zeros_like(variance))
    offset = change.mean(1) - scale * f.mean(1)
    return {"log_snr": log_snrs, "l": linear, "s": scale, "b": offset}


def with_statistics(recipe: Recipe, artifact: Artifact) -> Recipe:
    """The recipe's orders, points and correctors in form ``v3``.

    Raises:
        UserError: for what that form cannot be combined with.
    """
    data = recipe.to_dict()
    if any("weights" in step for step in data["steps"]):
        raise UserError("DPM-Solver-v3: the recipe's steps have weights; use another solver's")
    for step in data["steps"]:
        step["form"] = STATISTICS
        step.pop("relaxation", None)
        step.pop("prediction", None)
        if isinstance(step.get("corrector"), dict):
            step["corrector"] = step["corrector"]["kind"]
    data["artifacts"] = {**data.get("artifacts", {}), STATISTICS: artifact.model_dump()}
    return Recipe.from_dict(data, where="DPM-Solver-v3")


def write_calibration(path: Path, artifact: Artifact, calibrator: Calibrator) -> None:
    """Write an artifact of the calibrator's store.

    Raises:
        UserError: when the file cannot be written.
    """
    provenance = Provenance(
        artifact.method, artifact.settings, calibrator.denoiser.weights, calibrator.seed
    )
    header = {"provenance": json.dumps(provenance.to_dict()), "artifact": artifact.sha256}
    try:
        save_file(dict(calibrator.artifact_store.tensors(artifact)), path, metadata=header)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot write: {error}; give another file") from None


def read_calibration(path: str, calibrator: Calibrator, *, method: str) -> Artifact:
    """The artifact of a file, from now on in the calibrator's artifact store.

    Raises:
        UserError: when it is missing, damaged, of another method or of another model.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such calibration; make one: autosearch calibrate")
    try:
        with safe_open(path, "pt") as opened:
            header = opened.metadata() or {}
        tensors = load_file(path)
        provenance = Provenance(**json.loads(header["provenance"]))
        wanted = header["artifact"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise UserError(f"{path}: damaged, or no calibration; {_REMEDY}") from None
    if provenance.method != method:
        raise UserError(f"{path}: a calibration for {provenance.method!r}, not for {method!r}")
    if provenance.model != calibrator.denoiser.weights:
        raise UserError(
            f"{path}: measured on another model ({provenance.model}, this is "
            f"{calibrator.denoiser.weights}); {_REMEDY}"
        )
    artifact, content = pack_artifact(provenance, tensors)
    if artifact.sha256 != wanted:
        raise UserError(f"{path}: damaged; copy it again, or {_REMEDY}")
    calibrator.add(artifact, content)
    return artifact


def _fine_recipe(recipe: Recipe, calibrator: Calibrator, levels: int) -> Recipe:
    """DPM-Solver++(2M) through even half log-SNRs over the model's range, both ends included."""
    first = recipe.steps[0]
    if any(rule.rule != "cfg" for rule in first.guidance) or first.clip is not None:
        raise UserError(
            "DPM-Solver-v3: statistics are of classifier-free guidance or none; leave the rest out"
        )
    schedule = calibrator.denoiser.schedule
    low, high = schedule.log_snr(schedule.first), schedule.log_snr(schedule.last)
    steps = []
    if low == -torch.inf:
        steps.append(plain_step(first, schedule.first, None))
        low = schedule.log_snr(schedule.first - 0.1 * schedule.unit)
    for i, level in enumerate(torch.linspace(low, high, levels + 1, dtype=torch.float64).tolist()):
        time = {0: schedule.time(low), levels: schedule.last}.get(i, schedule.time(level))
        steps.append(plain_step(first, time, level, order=2))
    # Beyond the last level there is nothing to learn, and the state there is not looked at.
    return with_plain_steps(recipe, steps, end="clean")


def _smoothed(values: Tensor) -> Tensor:
    """The mean of 11 neighbours along the first dimension, of fewer near the ends."""
    half = _WINDOW // 2
    return torch.stack(
        [values[max(i - half, 0) : i + half + 1].mean(0) for i in range(len(values))]
    )


FITS = {
    "v3": Fit(
        "DPM-Solver-v3 (2023): the solver's steps with the model's measured statistics",
        (
            # With fewer, s is mostly the error of l, and its integral's exponential anything.
            Setting("levels", _LEVELS, 30, 2000),
            Setting("samples", _SAMPLES, 20, 100_000),
        ),
        lambda recipe, calibrator, levels, samples: with_statistics(
            recipe, statistics(recipe, calibrator, levels=levels, samples=samples)
        ),
        "form",
        # Along the trajectory, and at each of its points with gradients.
        forwards=lambda recipe, denoiser, levels, samples: levels * samples * (2 + GRADIENT_COST),
        shared=True,
    ),
    "v3_from": Fit(
        "DPM-Solver-v3 with the statistics of a file that `autosearch calibrate` wrote",
        (),
        lambda recipe, calibrator, file: with_statistics(
            recipe, read_calibration(file, calibrator, method=STATISTICS)
        ),
        "form",
        path=True,
    ),
}
