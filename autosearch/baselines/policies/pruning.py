"""Fixed patterns of pruned blocks."""

import numpy as np

from autosearch.baselines.base import Policy, RecipeData, Setting
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.sites.sites import blocks
from autosearch.errors import UserError

__all__ = ["POLICIES"]


def _bksdm(data: RecipeData, denoiser: Denoiser, group: int) -> None:
    """BK-SDM's fixed pattern (Kim et al. 2023), from U-Nets to a stack of equal blocks.

    There the first of the two pairs of a stage stays and the second goes; here the first of each
    group of ``group`` neighbours stays.
    """
    names = blocks(denoiser.sites)
    data["pruned"] = [name for i, name in enumerate(names) if i % group]


def _drop(data: RecipeData, denoiser: Denoiser, *numbers: int) -> None:
    names = blocks(denoiser.sites)
    for number in numbers:
        if number >= len(names):
            raise UserError(
                f"policy 'drop': this model has blocks 0 to {len(names) - 1}, not {number}"
            )
    data["pruned"] = [names[i] for i in sorted(set(numbers))]


def _random_drop(data: RecipeData, denoiser: Denoiser, count: int, seed: int) -> None:
    names = blocks(denoiser.sites)
    if count >= len(names):
        raise UserError(
            f"policy 'random-drop': this model has {len(names)} blocks, and one must stay; drop at "
            f"most {len(names) - 1}, not {count}"
        )
    chosen = np.random.default_rng(seed).permutation(len(names))[:count]
    data["pruned"] = [names[i] for i in sorted(chosen.tolist())]


POLICIES = {
    "bksdm": Policy(
        "BK-SDM's pattern (Kim et al. 2023): of each group of blocks the first stays",
        (Setting("group", 2, 1, 1000),),
        _bksdm,
        "pruned",
    ),
    "random-drop": Policy(
        "so many blocks, drawn at random, are pruned",
        (Setting("blocks", 4, 1, 1000), Setting("seed", 0, 0, 10**9)),
        _random_drop,
        "pruned",
    ),
    "drop": Policy(
        "blocks by their numbers, such as drop:3:5:6, are pruned",
        (Setting("block", 0, 0, 1000),),
        _drop,
        "pruned",
        repeated=True,
    ),
}
