"""``cache-dit``: which steps compute, and how the others are forecast, as cache-dit takes it.

Its cache works by step: a mask of 1 (compute) and 0 (take what is stored), with one order of
Taylor forecast for all. What a recipe does block by block has no place in that.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autosearch.errors import UserError
from autosearch.recipe import Recipe, parse_action
from autosearch.text import write_text

__all__ = ["cache_dit_data", "write_cache_dit"]


def cache_dit_data(recipe: Recipe) -> tuple[dict[str, Any], list[str]]:
    """Settings of cache-dit, and what of the recipe they do not carry.

    Returns:
        ``cache_config`` and ``calibrator_config``: arguments of its ``DBCacheConfig`` and
        ``TaylorSeerCalibratorConfig`` (None where nothing is forecast).

    Raises:
        UserError: for a recipe without a cache.
    """
    acting = [step.sites for step in recipe.steps]
    sites = {site for chosen in acting for site in chosen}
    if not sites:
        raise UserError("--format cache-dit: this recipe caches nothing; use sigmas or diffusers")
    # A step that leaves out most of what any step leaves out.
    mask = [int(2 * len(chosen) < len(sites)) for chosen in acting]
    actions = [parse_action(text) for chosen in acting for text in chosen.values()]
    order = max(action.order for action in actions)
    lost = []
    whole = all(len(chosen) in (0, len(sites)) for chosen in acting)
    if not whole or len({action.order for action in actions}) > 1:
        lost.append("what differs from site to site")
    if any(action.kind == "skip" for action in actions) or recipe.pruned:
        lost.append("sites that are skipped")
    if any(step.guidance for step in recipe.steps):
        lost.append("guidance")
    data = {
        "cache_config": {
            "Fn_compute_blocks": 1,
            "Bn_compute_blocks": 0,
            "num_inference_steps": len(mask),
            "steps_computation_mask": mask,
            "steps_computation_policy": "static",
        },
        "calibrator_config": {"taylorseer_order": order} if order else None,
    }
    return data, lost


def write_cache_dit(recipe: Recipe, path: Path) -> Sequence[str]:
    """Write the settings as JSON; the result says what they leave out."""
    data, lost = cache_dit_data(recipe)
    write_text(path, json.dumps(data, indent=1) + "\n")
    carried = ["times and solver go by --format sigmas"]
    if lost:
        carried.insert(0, f"cache-dit works by step and does not carry {', '.join(lost)}")
    return carried
