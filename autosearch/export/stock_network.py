"""What a recipe does inside and around the network, in terms of stock diffusers where it can be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from autosearch.models.diffusers.families import PipelineFamily
from autosearch.recipe import Guidance, Recipe, Step, parse_action, round_float

__all__ = ["StockNetwork", "stock_network"]

# The guidance rules of one step, by their names.
Rules = dict[str, Guidance]

_PAG = {
    "StableDiffusionPipeline": "StableDiffusionPAGPipeline",
    "StableDiffusionXLPipeline": "StableDiffusionXLPAGPipeline",
    "PixArtSigmaPipeline": "PixArtSigmaPAGPipeline",
}
# Two neighbouring steps are as far apart as two others.
_EQUAL = 1e-6


@dataclass(frozen=True)
class StockNetwork:
    """Settings of stock diffusers.

    Attributes:
        call: arguments of the pipeline's call.
        pag: the pipeline's class with perturbed attention, and the layers that it is given.
        pruned: numbers of the blocks that are taken out.
        cache: settings of the Taylor cache, and the sites that it is given.
    """

    call: Mapping[str, Any] = field(default_factory=dict)
    pag: tuple[str, Sequence[str]] | None = None
    pruned: Sequence[int] = ()
    cache: tuple[Mapping[str, Any], Sequence[str]] | None = None


def stock_network(
    recipe: Recipe, pipeline: str, family: PipelineFamily
) -> StockNetwork | list[str]:
    """The settings, or every reason why there are none.

    Args:
        recipe: the recipe.
        pipeline: the name of the pipeline's class.
        family: the kind of its network.
    """
    reasons: list[str] = []
    call, pag = _guidance(recipe, pipeline, family, reasons)
    pruned = _pruned(recipe, family, reasons)
    cache = _cache(recipe, pipeline, family, reasons)
    if any(step.gate is not None or step.rectify is not None for step in recipe.steps):
        reasons.append("decisions by sample and corrections of skipped steps are not in diffusers")
    return reasons or StockNetwork(call, pag, pruned, cache)


def _guidance(
    recipe: Recipe, pipeline: str, family: PipelineFamily, reasons: list[str]
) -> tuple[dict[str, Any], tuple[str, Sequence[str]] | None]:
    """Arguments of the call, and perturbed layers."""
    steps: list[Rules] = [{rule.rule: rule for rule in step.guidance} for step in recipe.steps]
    if any(
        len(rules) < len(step.guidance) for rules, step in zip(steps, recipe.steps, strict=True)
    ):
        reasons.append("pipelines guide by one rule of a kind")
        return {}, None
    kinds = {kind for rules in steps for kind in rules}
    call: dict[str, Any] = {}
    if family.guided:
        scale = _constant(steps, "cfg", reasons)
        call["guidance_scale"] = 1.0 if scale is None else scale.scale
    pag = _perturbed(steps, pipeline, reasons, call) if "pag" in kinds else None
    if "weak" in kinds:
        call |= _layers_left_out(steps, pipeline, family, reasons)
    for kind in sorted(kinds - {"cfg", "pag", "weak"}):
        reasons.append(f"no pipeline guides by {kind!r}")
    return call, pag


def _constant(steps: Sequence[Rules], kind: str, reasons: list[str]) -> Guidance | None:
    """The rule of a kind that all steps have alike; None where none has it."""
    first = steps[0].get(kind)
    if any(rules.get(kind) != first for rules in steps):
        reasons.append(f"the guidance ({kind}) differs from step to step")
        return None
    return first


def _perturbed(
    steps: Sequence[Rules],
    pipeline: str,
    reasons: list[str],
    call: dict[str, Any],
) -> tuple[str, Sequence[str]] | None:
    rule = _constant(steps, "pag", reasons)
    if rule is None:
        return None
    if pipeline not in _PAG:
        reasons.append(f"{pipeline} has no perturbed attention that means the same")
        return None
    if rule.strength != 1.0 or any(heads != "all" for heads in rule.heads.values()):
        reasons.append("diffusers perturbs whole layers in full, and no single heads")
        return None
    call["pag_scale"] = rule.scale
    return _PAG[pipeline], [_layer(site) for site in rule.heads]


def _layer(site: str) -> str:
    """The module of an attention site, by its name."""
    names = {"down": "down_blocks", "up": "up_blocks", "mid": "mid_block"}
    names |= {"transformer": "attentions", "block": "transformer_blocks", "attn": "attn1"}
    return ".".join(names.get(part, part) for part in site.split("."))


def _layers_left_out(
    steps: Sequence[Rules], pipeline: str, family: PipelineFamily, reasons: list[str]
) -> dict[str, Any]:
    """Skip-layer guidance of Stable Diffusion 3, over neighbouring steps."""
    acting = [i for i, rules in enumerate(steps) if "weak" in rules]
    rules = {repr(steps[i]["weak"]) for i in acting}
    rule = steps[acting[0]]["weak"]
    numbers = [_block_number(site) for site in rule.sites]
    skips = all(action == "skip" for action in rule.sites.values())
    together = acting == list(range(acting[0], acting[-1] + 1))
    guided = all("cfg" in known for known in steps)
    if not family.skips_layers:
        reasons.append(f"{pipeline} does not guide by a run with fewer layers")
    elif len(rules) > 1 or not together or not skips or None in numbers or not guided:
        reasons.append(
            "skip-layer guidance is one scale over neighbouring steps, of whole blocks, and beside "
            "classifier-free guidance"
        )
    else:
        count = len(steps)
        return {
            "skip_guidance_layers": numbers,
            "skip_layer_guidance_scale": round_float(rule.scale - 1.0),
            # The pipeline wants both ends strictly outside.
            "skip_layer_guidance_start": (acting[0] - 0.5) / count,
            "skip_layer_guidance_stop": (acting[-1] + 0.5) / count,
        }
    return {}


def _block_number(site: str) -> int | None:
    kind, _, number = site.partition(".")
    return int(number) if kind == "block" and number.isdigit() else None


def _pruned(recipe: Recipe, family: PipelineFamily, reasons: list[str]) -> list[int]:
    """Numbers of the blocks that no step runs."""
    numbers = [_block_number(site) for site in recipe.pruned]
    if not numbers:
        return []
    if family.is_unet or None in numbers:
        reasons.append("only whole blocks of transformers can be taken out")
    elif family.first_block_shared and 0 in numbers:
        reasons.append("the first block of a DiT also makes what the output layer reads")
    return sorted(number for number in numbers if number is not None)


def _cache(
    recipe: Recipe, pipeline: str, family: PipelineFamily, reasons: list[str]
) -> tuple[Mapping[str, Any], Sequence[str]] | None:
    """The Taylor cache that leaves out the same at the same steps, and forecasts the same."""
    acting = [i for i, step in enumerate(recipe.steps) if step.sites]
    if not acting:
        return None
    if not family.cached:
        reasons.append(f"the network of {pipeline} takes no cache of diffusers")
        return None
    sites = recipe.steps[acting[0]].sites
    alike = all(recipe.steps[i].sites == sites for i in acting)
    order = _order(sites) if alike else None
    pattern = _pattern(acting, len(recipe.steps))
    if order is None or pattern is None or (order and not _evenly_apart(recipe.steps, acting)):
        reasons.append(
            "the Taylor cache leaves out the same parts at regular steps, and forecasts them by "
            "order 0, or by order 1 at evenly spaced times"
        )
        return None
    return {**pattern, "max_order": order}, sorted(sites)


def _order(sites: Mapping[str, str]) -> int | None:
    """The order of forecast of all sites; None where they differ, or it is not of this kind.

    The cache keeps outputs: at a block, whose output contains its input, that is action output.
    """
    orders = set()
    for site, text in sites.items():
        action = parse_action(text)
        block = _block_number(site) is not None
        kinds = ("output",) if block else ("reuse", "forecast", "output")
        if not site.startswith("block.") or action.kind not in kinds or action.order > 1:
            return None
        orders.add(action.order)
    return orders.pop() if len(orders) == 1 else None


def _pattern(acting: Sequence[int], count: int) -> dict[str, Any] | None:
    """Settings of the Taylor cache at which just these steps act."""
    for before in range(1, count + 1):
        for interval in range(1, count + 2):
            for after in (None, *range(before, count)):
                computed = [
                    i < before
                    or (i - before - 1) % interval == 0
                    or (after is not None and i >= after)
                    for i in range(count)
                ]
                if [i for i in range(count) if not computed[i]] == list(acting):
                    return {
                        "cache_interval": interval,
                        "disable_cache_before_step": before,
                        "disable_cache_after_step": after,
                    }
    return None


def _evenly_apart(steps: Sequence[Step], acting: Sequence[int]) -> bool:
    """Whether forecasts by the count of steps are those by time, from the computed ones on."""
    computed = [i for i in range(len(steps)) if i not in set(acting)]
    for i in acting:
        before = [k for k in computed if k < i][-2:]
        if len(before) < 2:
            continue
        used = [*before, i]
        rates = [(steps[b].time - steps[a].time) / (b - a) for a, b in pairwise(used)]
        if abs(rates[0] - rates[1]) > _EQUAL * abs(rates[0]):
            return False
    return True
