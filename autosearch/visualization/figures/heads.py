"""The picture of attention heads: layers by heads, coloured by how much each helps."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autosearch._typing import Array
from autosearch.objectives.base import Estimate, compare
from autosearch.study.ranking import objectives_of
from autosearch.study.study import Candidate, Study
from autosearch.visualization.figures.drawing import own_settings, plain_text

__all__ = ["Gain", "HeadGains", "head_gains", "heads_figure"]

_DPI = 100
_FAMILY = "heads"
_MISSING = "#d9d9d9"
# Not quite black and white, which a dark page exchanges: the colours of the cells stay.
_FRAME, _DOT = "#111111", "#fefefe"


@dataclass(frozen=True)
class Gain:
    """By how much one more head made the objective better, on the same noise.

    ``clear`` says whether the paired 95% interval leaves zero out.
    """

    value: float
    clear: bool


@dataclass(frozen=True)
class HeadGains:
    """What a study says of each head.

    Attributes:
        objective: the study's first.
        layers: the attention sites of which some head was tried, and how many heads to show.
        chosen: the heads of the best candidate.
        alone: gain over the recipe without any, by head.
        added: gain over the largest part of the chosen set that was tried without it.
    """

    objective: str
    layers: Mapping[str, int]
    chosen: frozenset[str]
    alone: Mapping[str, Gain]
    added: Mapping[str, Gain]


def head_gains(study: Study) -> HeadGains | None:
    """Gains from pairs of a study's candidates that differ by one head and in nothing else.

    None for a study of a space without the family ``heads``, or one that has no such pair.
    """
    if _FAMILY not in study.experiment.space:
        return None
    objective = objectives_of(study)[0]
    sign = -1.0 if objective.direction == "minimize" else 1.0
    if not study.feasible:
        return None
    best = max(study.feasible, key=lambda c: (sign * c.values[objective.name].value, -c.id))
    chosen = _parts(best)[2]
    tried = {heads: c.values[objective.name] for heads, c in _alike(study.feasible, best).items()}
    gains = {
        (name, heads - {name}): _gain(tried[heads], tried[heads - {name}], sign)
        for heads in tried
        for name in heads
        if heads - {name} in tried
    }
    alone = {name: gain for (name, without), gain in gains.items() if not without}
    # The largest part of the chosen set comes last.
    inside = sorted((len(without), sorted(without), name) for name, without in gains)
    added = {
        name: gains[name, frozenset(without)]
        for _, without, name in inside
        if chosen.issuperset(without)
    }
    if not alone and not added:
        return None
    names = {name for heads in tried for name in heads}
    return HeadGains(objective.name, _layers(names), chosen, alone, added)


@own_settings()
def heads_figure(gains: HeadGains) -> Any:
    """A matplotlib figure, two panels of layers by heads on one scale of colours.

    Chosen heads are framed, gains whose interval leaves zero out have a dot, and heads that were
    not tried are grey. Blue is better.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    values = [gain.value for part in (gains.alone, gains.added) for gain in part.values()]
    limit = max(np.abs(values)) or 1.0
    heads = max(gains.layers.values())
    size = (max(8.0, 2 + 1.1 * heads), 2.2 + 0.42 * len(gains.layers))
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    colours = colormaps["RdBu"].with_extremes(bad=_MISSING)
    grid = figure.subplots(1, 2, sharey=True)
    titles = ("alone", "added to the chosen set")
    for axes, title, part in zip(grid, titles, (gains.alone, gains.added), strict=True):
        image = axes.imshow(
            _table(gains, part), cmap=colours, vmin=-limit, vmax=limit, aspect="auto"
        )
        _marks(axes, gains, part)
        axes.set_title(title)
        axes.set_xlabel("head")
        axes.set_xticks(range(heads))
    grid[0].set_yticks(range(len(gains.layers)), list(gains.layers))
    figure.colorbar(
        image, ax=list(grid), label=plain_text(f"better by, in units of {gains.objective}")
    )
    figure.suptitle(f"{gains.objective}: framed heads are chosen, dotted gains are clear of 0")
    return figure


def _table(gains: HeadGains, part: Mapping[str, Gain]) -> Array:
    """Gains as an array [layers, heads], not a number where a head was not tried."""
    table = np.full((len(gains.layers), max(gains.layers.values())), np.nan)
    for i, head, name in _heads(gains):
        if name in part:
            table[i, head] = part[name].value
    return table


def _marks(axes: Any, gains: HeadGains, part: Mapping[str, Gain]) -> None:
    from matplotlib.patches import Rectangle

    for i, head, name in _heads(gains):
        if name in part and part[name].clear:
            axes.plot(head, i, "o", mfc=_DOT, mec=_FRAME, ms=5)
        if name in gains.chosen:
            corner = (head - 0.46, i - 0.46)
            axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=_FRAME, lw=2))


def _heads(gains: HeadGains) -> Iterator[tuple[int, int, str]]:
    """The row of each head's layer, its number in it, and its name."""
    for i, (site, count) in enumerate(gains.layers.items()):
        yield from ((i, head, f"{site}:{head}") for head in range(count))


def _layers(names: Iterable[str]) -> dict[str, int]:
    """Sites in their own order, ``block.10`` after ``block.9``, and the heads up to the last."""
    counts: dict[str, int] = {}
    for name in names:
        site, _, head = name.rpartition(":")
        counts[site] = max(counts.get(site, 0), int(head) + 1)

    def order(site: str) -> list[tuple[int, str]]:
        parts = re.split(r"(\d+)", site)
        return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]

    return {site: counts[site] for site in sorted(counts, key=order)}


def _alike(candidates: Sequence[Candidate], best: Candidate) -> dict[frozenset[str], Candidate]:
    """By their heads, the candidates that are like the best in all else."""
    outer, own, _ = _parts(best)
    alike = {}
    for candidate in candidates:
        mine, numbers, heads = _parts(candidate)
        # Without heads, their scale and strength mean nothing.
        if mine == outer and (numbers == own or not heads):
            alike[heads] = candidate
    return alike


def _parts(candidate: Candidate) -> tuple[Any, Any, frozenset[str]]:
    """What a candidate is besides its heads, the heads' numbers, and the heads."""
    genome = candidate.genome
    genes = dict(genome.get("genes", {}))
    own = dict(genes.pop(_FAMILY, {"heads": []}))
    heads = frozenset(own.pop("heads"))
    steps = [
        {
            **{key: value for key, value in step.items() if key != "guidance"},
            "guidance": [r for r in step.get("guidance", []) if r["rule"] != "pag"],
        }
        for step in genome["steps"]
    ]
    return (genome["start"], steps, genome["end"], genes), own, heads


def _gain(more: Estimate, less: Estimate, sign: float) -> Gain:
    if len(more.pseudo) != len(less.pseudo) or not more.pseudo:
        return Gain(sign * (more.value - less.value), clear=False)
    difference, (low, high) = compare(more, less)
    return Gain(sign * difference, clear=low > 0 or high < 0)
