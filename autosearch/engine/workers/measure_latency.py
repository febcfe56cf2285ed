"""A model's latency table, measured from whole runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.latency_table import LatencyTable
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.sites.sites import Site
from autosearch.recipe import Recipe

__all__ = ["Measured", "latency_table"]

_STEPS = 6


_BASE = f"ddim@{_STEPS}"


_ORDERS = (0, 1, 2, 3, 4)


_CFG = {"rule": "cfg", "scale": 2.0}


# Seconds of one sample under a plan, measured alone.
Measured = Callable[[Plan], float]


def latency_table(denoiser: Denoiser, measured: Measured) -> LatencyTable:
    """Measure a model's table.

    Sites of one size are taken to cost the same: all of a kind are left out together, which is
    measured better than any one of them.
    """
    whole = measured(_plan(denoiser))
    evaluation = whole / _STEPS
    guided = _plan(denoiser, guidance=_CFG) if "uncond" in denoiser.conditions else None
    # On a busy machine more may seem to take less.
    more = whole if guided is None else max(measured(guided) - whole, 0.0)
    branch = evaluation if guided is None else more / _STEPS
    saved: dict[str, float] = {}
    for kind in _kinds(denoiser.sites):
        skipped = measured(_plan(denoiser, dict.fromkeys(kind, "skip")))
        saved |= dict.fromkeys(kind, (whole - skipped) / _STEPS / len(kind))
    table = LatencyTable(evaluation, branch, saved)
    return LatencyTable(evaluation, branch, saved, _features(denoiser, table, measured))


def _features(denoiser: Denoiser, table: LatencyTable, measured: Measured) -> dict[int, float]:
    """From the parts of all blocks, or whatever is innermost, made up for at most steps."""
    kinds = _kinds(denoiser.sites)
    if not kinds:
        return {}
    names = min(kinds, key=lambda kind: table.sites[kind[0]])
    elements = sum(site.elements for site in denoiser.sites if site.name in names)
    found: dict[int, float] = {}
    for order in _ORDERS:
        action = f"forecast:{order}"
        plan = _plan(denoiser, dict.fromkeys(names, action), computed=order + 1)
        acting = _STEPS - order - 1
        without = table.seconds(plan, denoiser.sites)
        found[order] = max((measured(plan) - without) / acting / elements, 0.0)
    return found


def _kinds(sites: Sequence[Site]) -> list[list[str]]:
    """Names of the sites that are alike, kind by kind."""
    kinds: dict[tuple[object, ...], list[str]] = {}
    for site in sites:
        key = (site.macs, site.elements, site.residual, site.parent is None)
        kinds.setdefault(key, []).append(site.name)
    return list(kinds.values())


def _plan(
    denoiser: Denoiser,
    sites: Mapping[str, str] | None = None,
    *,
    computed: int = 0,
    guidance: Mapping[str, Any] | None = None,
) -> Plan:
    """A plain recipe with these actions at every step but the first few."""
    data = baseline(_BASE, denoiser).to_dict()
    for i, step in enumerate(data["steps"]):
        if sites and i >= computed:
            step["sites"] = dict(sites)
        if guidance:
            step["guidance"] = dict(guidance)
    return compile_recipe(Recipe.from_dict(data), denoiser)
