"""Attention heads to perturb: a set of them, how far, how strongly and at which steps."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autosearch._typing import Rng
from autosearch.diffusion.denoiser import Denoiser
from autosearch.errors import UserError, unknown_name
from autosearch.recipe import round_float
from autosearch.spaces.base import Genome, Parameter
from autosearch.spaces.genes import Genes, Real
from autosearch.spaces.guidance_rules import (
    LARGEST_SCALE,
    GuidanceFamily,
    interval_steps,
    order_ends,
    real_range,
    scale_range,
)

__all__ = ["HeadSets"]

# HeadHunter's guidance (Ahn et al. 2025); a family's numbers are the nearest that it allows.
_PUBLISHED = {"scale": 3.0, "strength": 1.0, "first": 0.0, "last": 1.0}


@dataclass(kw_only=True, eq=False)
class HeadSets(GuidanceFamily):
    """Perturbed-attention guidance with any set of heads, as HeadHunter selects them.

    A genome's choices stand beside its steps, under ``genes``: ``heads``, a list of names such as
    ``block.3.attn:2``, ``scale`` (0 changes nothing), ``strength`` of SoftPAG, and the interval's
    ends ``first`` and ``last`` as shares of the steps. By default all but the heads is as
    published: scale 3, identity attention, every step. The empty set is the plain recipe.

    Args:
        heads: which may be chosen, layers (``block.3.attn``) or heads; by default all.
        most: how many may be chosen at once.
        scale: the least and the largest scale.
        strength: the least and the largest strength, from 0 to 1.
        first: where the interval may start.
        last: where it may end.

    Raises:
        UserError: for a model without attention heads, a head that it lacks, impossible settings.
    """

    name = "heads"
    summary = "a set of attention heads to perturb, with strength, scale and interval"
    rules = ("pag",)
    odds = 0.6

    heads: Sequence[str] | None = None
    most: int | None = None
    scale: Sequence[float] = (3.0, 3.0)
    strength: Sequence[float] = (1.0, 1.0)
    first: Sequence[float] = (0.0, 0.0)
    last: Sequence[float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        self._all = _select_heads(self.denoiser, self.heads)
        self._place = {name: i for i, name in enumerate(self._all)}
        if self.most is not None and self.most < 1:
            raise UserError(f"space.heads.most: {self.most} is too few; use at least 1")
        self.limit = min(self.most or len(self._all), len(self._all))
        self.ranges: dict[str, Real] = {
            "scale": scale_range("space.heads.scale", self.scale, LARGEST_SCALE),
            **{
                name: real_range(f"space.heads.{name}", getattr(self, name), 1.0)
                for name in ("strength", "first", "last")
            },
        }
        if self.ranges["first"].low > self.ranges["last"].high:
            raise UserError("space.heads: the interval ends before it starts; raise last")

    def elements(self) -> Sequence[Hashable]:
        """Every head that may be chosen, by layer."""
        return self._all

    def choose(self, genome: Genome, chosen: frozenset[Hashable]) -> None:
        """Perturb exactly these heads."""
        self.write(genome, {**self.current(genome), "heads": [str(name) for name in chosen]})

    def draw(self, rng: Rng) -> Genes:
        # As many small sets as large ones, by magnitude.
        size = math.floor(math.exp(rng.uniform(0.0, math.log(self.limit + 1))))
        drawn = rng.choice(len(self._all), size=min(size, self.limit), replace=False)
        return {"heads": [self._all[i] for i in drawn.tolist()], **super().draw(rng)}

    def arrange(self, genes: Genes) -> Genes:
        return order_ends(genes)

    def clip(self, genes: Genes) -> Genes:
        """The nearest genes inside the settings, heads in order."""
        heads = {name for name in genes["heads"] if name in self._place}
        kept = sorted(heads, key=self._place.__getitem__)[: self.limit]
        return {"heads": kept, **super().clip(genes)}

    def change(self, genome: Genome, genes: Genes, rng: Rng) -> None:
        """One head more, one less or another one; or a number that may vary."""
        free = [name for name, gene in self.ranges.items() if gene.varies]
        acts = len(interval_steps(genes, len(genome["steps"]))) > 0
        ends = [name for name in free if name in ("first", "last")]
        if free and (rng.random() < 0.3 or (ends and not acts)):
            # Where no step is guided, nothing but an end changes that.
            self.move_one(free if acts or not ends else ends, genes, rng)
        else:
            genes["heads"] = self._change_heads(genes["heads"], rng)

    def mix(self, mine: Genes, theirs: Genes, rng: Rng) -> Genes:
        """Heads of both parents stay, those of one stay half of the time; numbers of either."""
        numbers = super().mix({name: mine[name] for name in self.ranges}, theirs, rng)
        sets = [set(genes["heads"]) for genes in (mine, theirs)]
        apart = sorted(sets[0] ^ sets[1])
        kept = {
            name for name, stays in zip(apart, rng.random(len(apart)) < 0.5, strict=True) if stays
        }
        return {"heads": sorted((sets[0] & sets[1]) | kept), **numbers}

    def encodes(self, genome: Genome) -> bool:
        genes = self.current(genome)
        if not set(genes["heads"]) <= set(self._all) or len(genes["heads"]) > self.limit:
            return False
        expected = self.per_step(self.clip(genes), len(genome["steps"]))
        return [_canonical(rules, self.denoiser) for rules in expected] == [
            _canonical(rules, self.denoiser) for rules in self.read_steps(genome)
        ]

    def box(self) -> Sequence[Parameter]:
        """A few numbers: the same heads, the first so many, of neighbouring layers; what varies.

        Far fewer sets than there are, which is what a search over numbers can bear.
        """
        layers = len(self._by_layer)
        largest = max(len(heads) for heads in self._by_layer)
        return (
            Parameter("layer", "int", 0, layers - 1),
            Parameter("layers", "int", 1, layers),
            Parameter("each", "int", 1, largest),
            *(gene.parameter(name) for name, gene in self.ranges.items() if gene.varies),
        )

    def point(self, values: Mapping[str, Any]) -> Genes:
        start, each = int(values["layer"]), int(values["each"])
        layers = self._by_layer[start : start + int(values["layers"])]
        heads = [name for heads in layers for name in heads[:each]]
        numbers = {name: values.get(name, gene.low) for name, gene in self.ranges.items()}
        return {"heads": heads, **numbers}

    @property
    def _by_layer(self) -> list[list[str]]:
        """The heads that may be chosen, layer by layer."""
        layers: dict[str, list[str]] = {}
        for name in self._all:
            layers.setdefault(name.rpartition(":")[0], []).append(name)
        return list(layers.values())

    def _change_heads(self, heads: Sequence[str], rng: Rng) -> list[str]:
        chosen = set(heads)
        absent = [name for name in self._all if name not in chosen]
        kind = int(rng.integers(3))
        drops = bool(chosen) and (kind != 0 or not absent or len(chosen) == self.limit)
        adds = bool(absent) and (kind != 1 or not chosen)
        if drops:
            chosen.remove(str(rng.choice(sorted(chosen))))
        if adds:
            chosen.add(str(rng.choice(absent)))
        return sorted(chosen)

    def per_step(self, genes: Genes, count: int) -> list[list[dict[str, Any]]]:
        sites: dict[str, list[int]] = {}
        for name in genes["heads"]:
            site, _, head = name.rpartition(":")
            sites.setdefault(site, []).append(int(head))
        rule: dict[str, Any] = {"rule": "pag", "scale": round_float(genes["scale"]), "heads": sites}
        if genes["strength"] != 1.0:
            rule["strength"] = genes["strength"]
        steps = interval_steps(genes, count) if sites else ()
        return [
            [{**rule, "heads": {site: list(own) for site, own in sites.items()}}]
            if i in steps
            else []
            for i in range(count)
        ]

    def read_genes(self, genome: Genome) -> Genes:
        shown = self.read_steps(genome)
        guided = [i for i, rules in enumerate(shown) if rules]
        if not guided:
            return {"heads": [], **_PUBLISHED}
        rule = shown[guided[0]][0]
        return {
            "heads": _canonical([rule], self.denoiser)[0]["heads"] if rule["rule"] == "pag" else [],
            "scale": rule["scale"],
            "strength": rule.get("strength", 1.0),
            "first": guided[0] / len(shown),
            "last": (guided[-1] + 1) / len(shown),
        }


def _select_heads(denoiser: Denoiser, heads: Sequence[str] | None) -> list[str]:
    if not denoiser.heads:
        raise UserError(
            "space.heads: it needs a model with attention heads, and this one has none; leave the "
            "family out"
        )
    layers = {site: [f"{site}:{i}" for i in range(n)] for site, n in denoiser.heads.items()}
    every = [name for names in layers.values() for name in names]
    if heads is None:
        return every
    wanted = set()
    for name in heads:
        if name not in layers and name not in every:
            raise unknown_name("head", str(name), [*layers, *every], where="space.heads.heads")
        wanted.update(layers.get(name, [name]))
    if not wanted:
        raise UserError("space.heads.heads: the list is empty; name heads, or leave it out for all")
    return [name for name in every if name in wanted]


def _canonical(rules: Sequence[Mapping[str, Any]], denoiser: Denoiser) -> list[dict[str, Any]]:
    """Rules with heads as a list of names and every number written out, to compare."""
    found = []
    for rule in rules:
        names = [
            f"{site}:{head}"
            for site, heads in sorted(rule.get("heads", {}).items())
            for head in (
                range(denoiser.heads.get(site, 0)) if heads == "all" else sorted(set(heads))
            )
        ]
        found.append({**rule, "heads": names, "strength": rule.get("strength", 1.0)})
    return found
