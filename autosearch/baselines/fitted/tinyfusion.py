"""TinyFusion (Fang et al. 2025): which blocks go, learned together with what would make up for it.

Each group of M neighbouring blocks has one gate: a categorical choice among the ways to keep N of
them, drawn for every sample by a hard Gumbel-softmax with straight-through gradients. Low-rank
updates of all linear maps are trained beside the gates and stand for the fine-tune to come; they
are dropped afterwards, and every group keeps its likeliest choice.

Where we deviate: a network's own samples and predictions stand for training images (see
:mod:`autosearch.baselines.fitted.distil`), hundreds of steps for tens of thousands, so the rates
are higher at the published ratio; no average of the weights.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.base import Fit
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.distil import descend, lessons, pool
from autosearch.baselines.fitted.low_rank import adapt
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.plan.recovery import BATCH, POOL, POOL_STEPS
from autosearch.diffusion.sites.interception import Mix
from autosearch.diffusion.sites.sites import blocks
from autosearch.diffusion.threads import one_thread
from autosearch.errors import UserError
from autosearch.recipe import Recipe

__all__ = ["FITS", "Gates", "learn_mask"]

# Published: rank 8; temperature 4 to 0.1; logits times 100 from 0.02.
_RANK = 8
_TEMPERATURES = (4.0, 0.1)
_LOGIT_SCALE = 100.0
_FIRST_LOGIT = 0.02
# Published: 1e-4, for the gates ten times as much.
_RATE = 1e-3
_GATE_RATE = 10 * _RATE


class Gates(nn.Module):
    """One choice of N blocks to keep in each group of M neighbours.

    Args:
        names: of the blocks, in order.
        group: M, a divisor of their number.
        keep: N, below M.
    """

    def __init__(self, names: Sequence[str], *, group: int, keep: int) -> None:
        super().__init__()
        self.names = tuple(names)
        kept = list(itertools.combinations(range(group), keep))
        options = torch.zeros(len(kept), group)
        for option, chosen in zip(options, kept, strict=True):
            option[list(chosen)] = 1.0
        self.register_buffer("options", options)
        self.options: Tensor
        logits = torch.full((len(self.names) // group, len(kept)), _FIRST_LOGIT)
        self.logits = nn.Parameter(logits)

    def draw(self, count: int, temperature: float, generator: torch.Generator) -> Tensor:
        """[count, blocks] of 1 for kept and 0, with the gradient of the soft choice."""
        shape = (count, *self.logits.shape)
        uniform = torch.rand(shape, generator=generator).clamp_min(1e-20)
        gumbel = -(-uniform.log()).log()
        scores = (self.logits * _LOGIT_SCALE + gumbel.to(self.logits)) / temperature
        soft = scores.softmax(-1)
        hard = nn.functional.one_hot(soft.argmax(-1), soft.shape[-1]).to(soft)
        chosen = hard - soft.detach() + soft
        return (chosen @ self.options).flatten(1)

    @property
    def pruned(self) -> list[str]:
        """Names of the blocks that the likeliest choices leave out."""
        kept = self.options[self.logits.argmax(-1)].flatten().tolist()
        return [name for name, stays in zip(self.names, kept, strict=True) if not stays]


def learn_mask(calibrator: Calibrator, *, remove: int, group: int, steps: int) -> list[str]:
    """The blocks to prune.

    Args:
        calibrator: the model, a network.
        remove: how many blocks go, the same number in every group.
        group: neighbours that share a gate.
        steps: of training.

    Raises:
        UserError: for a model whose weights cannot be trained, and numbers that do not divide.
    """
    denoiser, names = calibrator.denoiser, blocks(calibrator.denoiser.sites)
    if not isinstance(denoiser, NetworkDenoiser):
        raise UserError(
            "tinyfusion: this model has no network that can be trained here; use importance or "
            "sensitivity"
        )
    keep = _kept(len(names), remove, group)
    with one_thread(), torch.inference_mode(False), torch.enable_grad():
        gates = Gates(names, group=group, keep=keep).to(denoiser.device)
        student = denoiser.with_tensors({})
        updates = [adapt(student.modules[name], _RANK, calibrator.generator) for name in names]
        low_rank = [parameter for update in updates for parameter in update]
        _train(calibrator, student, gates, low_rank, steps=steps)
    return gates.pruned


def _kept(count: int, remove: int, group: int) -> int:
    """How many blocks of a group stay."""
    groups = count // group
    if not groups or count % group:
        divisors = [str(n) for n in range(2, count + 1) if count % n == 0]
        raise UserError(
            f"tinyfusion: groups of {group} do not divide this model's {count} blocks; use "
            f"{' or '.join(divisors)}"
        )
    if remove % groups or not 0 < remove < count:
        raise UserError(
            f"tinyfusion: {remove} blocks cannot be taken out of {groups} groups of {group}, the "
            f"same number of each and not all; use a multiple of {groups} below {count}"
        )
    return group - remove // groups


def _train(
    calibrator: Calibrator,
    student: NetworkDenoiser,
    gates: Gates,
    low_rank: Sequence[nn.Parameter],
    *,
    steps: int,
) -> None:
    denoiser = calibrator.denoiser
    assert isinstance(denoiser, NetworkDenoiser)
    optimizer = torch.optim.AdamW(
        [
            {"params": list(low_rank), "lr": _RATE},
            {"params": list(gates.parameters()), "lr": _GATE_RATE},
        ],
        weight_decay=0.0,
    )
    trained = [*low_rank, *gates.parameters()]
    first, last = _TEMPERATURES
    samples = pool(denoiser, calibrator.seed)
    calibrator.count_macs(samples.macs, nominal=samples.cost)
    for i, lesson in enumerate(lessons(denoiser, samples, calibrator.generator, steps)):
        temperature = first + (last - first) * i / max(steps - 1, 1)
        kept = gates.draw(BATCH, temperature, calibrator.generator)
        mixes = {name: Mix(kept[:, j]) for j, name in enumerate(gates.names)}
        prediction = student.differentiable(lesson.x, lesson.times, lesson.labels, mixes=mixes)
        descend(optimizer, lesson.loss(prediction), trained)
    # The teacher's forward, the student's, and twice that backwards.
    calibrator.count(4 * steps * BATCH)


def _fit(recipe: Recipe, calibrator: Calibrator, remove: int, group: int, steps: int) -> Recipe:
    pruned = learn_mask(calibrator, remove=remove, group=group, steps=steps)
    return recipe.model_copy(update={"pruned": pruned})


FITS = {
    "tinyfusion": Fit(
        "TinyFusion (2025): blocks pruned by gates that are learned with low-rank updates",
        (
            Setting("blocks", 4, 1, 1000),
            Setting("group", 4, 1, 1000),
            Setting("steps", 200, 1, 1_000_000),
        ),
        _fit,
        "pruned",
        forwards=lambda recipe, denoiser, *values: POOL * POOL_STEPS + 4 * values[-1] * BATCH,
        sites=True,
    )
}
