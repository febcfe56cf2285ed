"""The model's statistics that a plan's steps of form ``v3`` look at."""

from collections import OrderedDict

import torch

from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.solvers import Statistics
from autosearch.diffusion.solvers.dpm_solver_v3 import STATISTICS

__all__ = ["plan_statistics"]

# By content and device, with the integrals found so far.
_HELD: OrderedDict[tuple[str, str], Statistics] = OrderedDict()
_MOST = 4


def plan_statistics(plan: Plan, denoiser: Denoiser) -> Statistics | None:
    """From the denoiser's library, in double precision; None where no step needs any.

    Raises:
        UserError: when they are missing, damaged or of another kind of model.
    """
    artifact = dict(plan.artifacts).get(STATISTICS)
    if artifact is None:
        return None
    key = (artifact.sha256, str(denoiser.device))
    if key not in _HELD:
        tensors = denoiser.artifact_store.on(artifact, denoiser.device, torch.float64)
        where = f"artifact {artifact.key}.safetensors"
        _HELD[key] = Statistics.from_tensors(tensors, shape=denoiser.sample_shape, where=where)
        if len(_HELD) > _MOST:
            _HELD.popitem(last=False)
    _HELD.move_to_end(key)
    return _HELD[key]
