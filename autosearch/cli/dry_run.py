"""The text of a dry run."""

from collections.abc import Mapping
from typing import Any

from autosearch.cli.view import duration

__all__ = ["dry_run_text"]

_DEFAULT = " (by default: the model's own scheduler, then the strongest known)"


def dry_run_text(data: Mapping[str, Any]) -> str:
    """A dry run's data as some ten lines of text."""
    model, space, cost = data["model"], data["space"], data["forward_equivalents"]
    candidate = data["candidate"]
    fitted, fits = data["baselines"]["fitted"], data["baselines"]["fits"]
    families = ", ".join(
        f"{family['name']} ({family['dimensions']} dimensions)"
        if family["dimensions"]
        else f"{family['name']} (no box)"
        for family in space["families"]
    )
    lines = [
        f"model        {model['name']}: {model['family']}/{model['schedule']}, predicts "
        f"{model['prediction']}, {model['macs']:,} multiply-accumulates a forward",
        f"supports     {_supports(model)}",
        f"space        {families}",
        f"baselines    {data['baselines']['count']}, "
        f"{data['baselines']['forward_equivalents']:,.0f} forward equivalents"
        + (f"; {fitted} of them to be fitted for about {fits:,.0f} more" if fitted else "")
        + (_DEFAULT if data["default_baselines"] else ""),
        f"candidate    {candidate['seconds']:.3g} s, {candidate['forward_equivalents']:,.0f} "
        f"forward equivalents on average (measured on {candidate['measured']})",
        f"budget       {data['candidates']} candidates, then at most {data['validated']} validated",
        f"cost         {cost['setup']:,.0f} setup + {cost['search']:,.0f} search + "
        f"{cost['validation']:,.0f} validation forward equivalents",
        f"time         about {duration(data['seconds'])} with {data['workers']} "
        f"worker{'s' if data['workers'] > 1 else ''}",
        f"memory       {_memory(data['memory_bytes'])}",
        f"disk         about {data['disk_bytes'] / 1e6:,.1f} MB",
    ]
    if data["advice"]:
        lines.append(f"advice       {data['advice']}")
    return "\n".join(lines)


def _memory(memory: Mapping[str, Any]) -> str:
    text = f"{memory['declared'] / 1e6:,.1f} MB of states and stored features at most"
    if memory["peak"] is not None:
        text += f"; {memory['peak'] / 1e9:,.1f} GB of the device at the measured candidate's peak"
    return text


def _supports(model: Mapping[str, Any]) -> str:
    sites, heads = model["sites"], model["heads"]
    text = f"branches {', '.join(model['branches'])}"
    text += f"; {len(sites)} sites ({sites[0]} to {sites[-1]})" if sites else "; no sites"
    if heads:
        text += f"; {sum(heads.values())} heads in {len(heads)} attention sites"
    return text
