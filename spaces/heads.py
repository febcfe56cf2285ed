"""Attention heads to perturb: a set of them, how far, how strongly and at which steps."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from autosearch.diffusion.denoiser import Denoiser
from autosearch.errors import UserError, unknown_name
from autosearch.recipe import round_float
from autosearch.spaces.base import Genome, Parameter, Rng
from autosearch.spaces.guidance import inside
from autosearch.spaces.guidance_rules import DIGITS, Genes, GuidanceFamily, checked_range

__all__ = ["HeadSets"]

_LARGEST = 100.0
# HeadHunter's guidance (Ahn et al. 2025); a family's numbers are the nearest that it allows.
_PUBLISHED = {"scale": 3.0, "strength": 1.0, "first": 0.0, "last": 1.0}
# Standard deviation of a move of an end, in shares of the steps, and of the strength.
_WIDTH = 0.15


class HeadSets(GuidanceFamily):
    """Perturbed-attention guidance with any set of heads, as HeadHunter selects them.

    A genome's choices stand beside its steps, under ``genes``: ``heads``, a list of names such as
    ``block.3.attn:2``, ``scale`` (0 changes nothing), ``strength`` of SoftPAG, and the interval's
    ends ``first`` and ``last`` as shares of the steps. By default all but the heads is as
    published: scale 3, identity attention, every step. The empty set is the plain recipe.

    Args:
        heads: which may be chosen, layers (``block.3.attn``) or heads; by default all.
        most: how many may be chosen at once.
        scale, strength, first, last: the least and the largest of each.

    Raises:
        UserError: for a model without attention heads, a head that it lacks, impossible settings.
    """

    name = "heads"
    summary = "a set of attention heads to perturb, with strength, scale and interval"
    rules = ("pag",)
    odds = 0.6

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        heads: Sequence[str] | None = None,
        most: int | None = None,
        scale: Sequence[float] = (3.0, 3.0),
        strength: Sequence[float] = (1.0, 1.0),
        first: Sequence[float] = (0.0, 0.0),
        last: Sequence[float] = (1.0, 1.0),
    ) -> None:
        super().__init__(denoiser)
        self._all = _chosen(denoiser, heads)
        self._place = {name: i for i, name in enumerate(self._all)}
        if most is not None and most < 1:
            raise UserError(f"space.heads.most: {most} is too few; use at least 1")
        self.most = len(self._all) if most is None else min(most, len(self._all))
        given = {"scale": scale, "strength": strength, "first": first, "last": last}
        self.ranges = {
            name: checked_range(
                name, ends, _LARGEST if name == "scale" else 1.0, where="space.heads"
            )
            for name, ends in given.items()
        }
        if self.ranges["first"][0] > self.ranges["last"][1]:
            raise UserError("space.heads: the interval ends before it starts; raise last")

    def elements(self) -> Sequence[Hashable]:
        """Every head that may be chosen, by layer."""
        return self._all

    def choose(self, genome: Genome, chosen: frozenset[Hashable]) -> None:
        """Perturb exactly these heads."""
        self._write(genome, {**self._genes(genome), "heads": [str(name) for name in chosen]})

    def randomize(self, genome: Genome, rng: Rng) -> None:
        # As many small sets as large ones, by magnitude.
        size = math.floor(math.exp(rng.uniform(0.0, math.log(self.most + 1))))
        drawn = rng.choice(len(self._all), size=min(size, self.most), replace=False)
        numbers = {name: float(rng.uniform(*ends)) for name, ends in self.ranges.items()}
        heads = [self._all[i] for i in drawn.tolist()]
        self._write(genome, _ordered({"heads": heads, **numbers}))

    def mutate(self, genome: Genome, rng: Rng) -> None:
        """One head more, one less or another one; or a number that may vary."""
        genes = self._genes(genome)
        free = [name for name, (low, high) in self.ranges.items() if low < high]
        acts = len(inside(genes, len(genome["steps"]))) > 0
        ends = [name for name in free if name in ("first", "last")]
        if free and (rng.random() < 0.3 or (ends and not acts)):
            # Where no step is guided, nothing but an end changes that.
            name = str(rng.choice(free if acts or not ends else ends))
            if name == "scale":
                genes[name] *= float(rng.lognormal(0.0, 0.3))
            else:
                genes[name] += _WIDTH * float(rng.standard_normal())
        else:
            genes["heads"] = self._moved(genes["heads"], rng)
        self._write(genome, _ordered(genes))

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        """Heads of both parents stay, those of one stay half of the time; numbers of either."""
        mine, theirs = self._genes(child), self._genes(other)
        mixed = {name: (mine, theirs)[int(rng.integers(2))][name] for name in self.ranges}
        sets = [set(genes["heads"]) for genes in (mine, theirs)]
        apart = sorted(sets[0] ^ sets[1])
        kept = {
            name for name, stays in zip(apart, rng.random(len(apart)) < 0.5, strict=True) if stays
        }
        self._write(child, _ordered({"heads": sorted((sets[0] & sets[1]) | kept), **mixed}))

    def repair(self, genome: Genome) -> None:
        self._write(genome, self._genes(genome))

    def encodes(self, genome: Genome) -> bool:
        genes = self._genes(genome)
        if not set(genes["heads"]) <= set(self._all) or len(genes["heads"]) > self.most:
            return False
        count = len(genome["steps"])
        written = self._per_step(self._clipped(genes), count)
        return [_canonical(r, self.denoiser) for r in written] == [
            _canonical(r, self.denoiser) for r in self.shown(genome)
        ]

    def box(self) -> Sequence[Parameter]:
        """A few numbers: the same heads, the first so many, of neighbouring layers; what varies.

        Far fewer sets than there are, which is what a search over numbers can bear.
        """
        layers = len(self._by_layer)
        largest = max(len(heads) for heads in self._by_layer)
        free = [(name, ends) for name, ends in self.ranges.items() if ends[0] < ends[1]]
        return (
            Parameter("layer", "int", 0, layers - 1),
            Parameter("layers", "int", 1, layers),
            Parameter("each", "int", 1, largest),
            *(Parameter(name, "float", *ends) for name, ends in free),
        )

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        start, each = int(values["layer"]), int(values["each"])
        layers = self._by_layer[start : start + int(values["layers"])]
        heads = [name for heads in layers for name in heads[:each]]
        numbers = {name: values.get(name, ends[0]) for name, ends in self.ranges.items()}
        self._write(genome, _ordered({"heads": heads, **numbers}))

    @property
    def _by_layer(self) -> list[list[str]]:
        """The heads that may be chosen, layer by layer."""
        layers: dict[str, list[str]] = {}
        for name in self._all:
            layers.setdefault(name.rpartition(":")[0], []).append(name)
        return list(layers.values())

    def _moved(self, heads: Sequence[str], rng: Rng) -> list[str]:
        chosen = set(heads)
        absent = [name for name in self._all if name not in chosen]
        kind = int(rng.integers(3))
        drops = bool(chosen) and (kind != 0 or not absent or len(chosen) == self.most)
        adds = bool(absent) and (kind != 1 or not chosen)
        if drops:
            chosen.remove(str(rng.choice(sorted(chosen))))
        if adds:
            chosen.add(str(rng.choice(absent)))
        return sorted(chosen)

    def _write(self, genome: Genome, genes: Genes) -> None:
        genes = self._clipped(genes)
        self.set_genes(genome, genes)
        self.write(genome, self._per_step(genes, len(genome["steps"])))

    def _per_step(self, genes: Genes, count: int) -> list[list[dict[str, Any]]]:
        sites: dict[str, list[int]] = {}
        for name in genes["heads"]:
            site, _, head = name.rpartition(":")
            sites.setdefault(site, []).append(int(head))
        rule: dict[str, Any] = {"rule": "pag", "scale": round_float(genes["scale"]), "heads": sites}
        if genes["strength"] != 1.0:
            rule["strength"] = genes["strength"]
        steps = inside(genes, count) if sites else ()
        return [
            [{**rule, "heads": {site: list(own) for site, own in sites.items()}}]
            if i in steps
            else []
            for i in range(count)
        ]

    def _genes(self, genome: Genome) -> Genes:
        """The genome's choices; those that its steps show where it brings none."""
        known = self.genes(genome)
        if known is not None:
            return known
        shown = self.shown(genome)
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

    def _clipped(self, genes: Genes) -> Genes:
        """Inside the settings, heads in order, with few digits."""
        known = sorted(
            {name for name in genes["heads"] if name in self._place}, key=self._place.__getitem__
        )
        result: Genes = {"heads": known[: self.most]}
        for name, (low, high) in self.ranges.items():
            result[name] = round(min(max(float(genes[name]), low), high), DIGITS)
        return result


def _ordered(genes: Genes) -> Genes:
    first, last = sorted((genes["first"], genes["last"]))
    return {**genes, "first": first, "last": last}


def _chosen(denoiser: Denoiser, heads: Sequence[str] | None) -> list[str]:
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
