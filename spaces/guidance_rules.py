"""Rules of guidance as choices: what the families that write guidance have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autosearch._typing import Rng
from autosearch.diffusion.denoiser import Denoiser
from autosearch.errors import UserError, unknown_name
from autosearch.recipe import round_float
from autosearch.spaces.base import Family, Genome, Parameter, checked_ends
from autosearch.spaces.genes import Gene, GeneFamily, Genes, OneOf, Real

__all__ = [
    "LARGEST_SCALE",
    "GuidanceFamily",
    "RuleFamily",
    "interval_steps",
    "order_ends",
    "real_range",
    "scale_range",
]

Rule = dict[str, Any]

RULES = ("cfg", "cfgpp", "classifier", "pag", "weak")
# CFG++'s scales from 0 to 1 stand for classifier-free ones from 1 to 12.5 (Chung et al. 2025); that
# they do so in proportion is our simplification.
CFGPP = 12.5
DIGITS = 3
LARGEST_SCALE = 100.0
# Standard deviation of a move of an interval's end, in shares of the steps, and of a strength.
_WIDTH = 0.15
# Of the logarithm of the factor by which a scale moves.
_SCALE_FACTOR = 0.3
# Standard deviation of a move of what only one rule has, as a share of its range.
_OWN_WIDTH = 0.2
# What a rule has besides its scale: numbers, and one of a list.
_NUMBERS = {"strength": "pag", "temperature": "classifier", "discount": "classifier"}
_CHOICES = {"layer": "pag", "weaker": "weak"}


class GuidanceFamily(GeneFamily):
    """A family that writes guidance; several may share the steps, each with rules of its own.

    ``rules`` are the kinds that it writes. What a step has of kinds that no other family of the
    space writes must be its own.
    """

    fields = ("guidance",)
    rules: Sequence[str]
    _foreign: frozenset[str] = frozenset()

    def join(self, families: Sequence[Family]) -> None:
        """Leave alone what other families write.

        Raises:
            UserError: when another family writes the same rule.
        """
        super().join(families)
        others = [f for f in families if isinstance(f, GuidanceFamily) and f is not self]
        for other in others:
            both = sorted(set(self.rules) & set(other.rules))
            scales = {"cfg", "cfgpp"}
            if scales & set(self.rules) and scales & set(other.rules):
                both = both or ["cfg"]
            if both:
                raise UserError(
                    f"space: {self.name} and {other.name} both write rule {both[0]!r}; take it "
                    "from the rules of one of them"
                )
        self._foreign = frozenset(rule for other in others for rule in other.rules)

    def read_steps(self, genome: Genome) -> list[list[Rule]]:
        """The rules of each step that are this family's to write."""
        return [
            [rule for rule in step.get("guidance", []) if rule["rule"] not in self._foreign]
            for step in genome["steps"]
        ]

    def put(self, genome: Genome, values: Sequence[Sequence[Rule]]) -> None:
        """Write the rules of each step, beside what other families wrote.

        Their order does not depend on who wrote last.
        """
        for step, own in zip(genome["steps"], values, strict=True):
            known = step.pop("guidance", [])
            kept = [rule for rule in known if rule["rule"] in self._foreign]
            if kept or own:
                step["guidance"] = sorted([*kept, *own], key=lambda r: RULES.index(r["rule"]))


@dataclass(kw_only=True, eq=False)
class RuleFamily(GuidanceFamily):
    """A family that writes one of some rules, with genes that only some rules have.

    All scales are in the unit of ``cfg``, where 1 changes nothing: ``cfgpp`` is given a 12.5th of
    it, ``pag`` and ``classifier``, which add to the conditional prediction, 1 less.

    Args:
        denoiser: the model.
        scale: the least and the largest scale.
        rules: of ``cfg``, ``cfgpp``, ``classifier``, ``pag`` and ``weak``.
        layer: for ``pag``, the attention sites of which one is perturbed; by default all.
        strength: for ``pag``, how far: the least and the largest.
        weaker: for ``weak``, the sites of which one is left out; by default all outermost ones.
        temperature: for ``classifier``, the least and the largest.
        discount: for ``classifier``, the least and the largest.

    Raises:
        UserError: for a rule, a layer or a site that the model lacks, and impossible ranges.
    """

    scale: Sequence[float] = (1.0, 8.0)
    rules: Sequence[str] = ("cfg", "cfgpp")
    layer: Sequence[str] | None = None
    strength: Sequence[float] = (1.0, 1.0)
    weaker: Sequence[str] | None = None
    temperature: Sequence[float] = (0.25, 2.0)
    discount: Sequence[float] = (0.5, 1.0)

    def __post_init__(self) -> None:
        self.where = f"space.{self.name}"
        self.rules = _checked_rules(self.rules, self.where)
        for rule in self.rules:
            _check_able(rule, self.denoiser, self.where)
        ranges: dict[str, Gene] = {"rule": OneOf(self.rules)}
        if "pag" in self.rules:
            ranges["layer"] = self._sites("layer", list(self.denoiser.heads))
        if "weak" in self.rules:
            outer = [site.name for site in self.denoiser.sites if site.parent is None]
            ranges["weaker"] = self._sites("weaker", outer)
        for name, rule in _NUMBERS.items():
            if rule in self.rules:
                largest = 100.0 if name == "temperature" else 1.0
                given = real_range(f"{self.where}.{name}", getattr(self, name), largest)
                ranges[name] = replace(given, width=_OWN_WIDTH * (given.high - given.low))
        self.ranges: Mapping[str, Gene] = ranges
        largest = CFGPP if "cfgpp" in self.rules else LARGEST_SCALE
        self.scales = scale_range(f"{self.where}.scale", self.scale, largest)

    def _sites(self, name: str, default: Sequence[str]) -> OneOf:
        """The gene of a setting that lists sites; the default for None."""
        given = getattr(self, name)
        sites = [site.name for site in self.denoiser.sites]
        valid = tuple(self.denoiser.heads) if name == "layer" else sites
        for site in given or ():
            if site not in valid:
                raise unknown_name("site", str(site), valid, where=f"{self.where}.{name}")
        return OneOf(tuple(dict.fromkeys(given or default)), stays=True)

    def change_rule(self, genes: Genes, rng: Rng) -> bool:
        """Change the rule, or something that only the present rule has; False for nothing."""
        if len(self.rules) > 1 and rng.random() < 0.2:
            self.move_one(["rule"], genes, rng)
            return True
        own = [name for name, rule in (_NUMBERS | _CHOICES).items() if rule == genes["rule"]]
        own = [name for name in own if name in self.ranges and self.ranges[name].varies]
        if not own or rng.random() < 0.5:
            return False
        self.move_one(own, genes, rng)
        return True

    def box(self) -> Sequence[Parameter]:
        """A dimension for each gene that varies."""
        return tuple(gene.parameter(name) for name, gene in self.ranges.items() if gene.varies)

    def to_rule(self, genes: Genes, scale: float) -> Rule:
        """A rule as recipes have it, with nothing at its default."""
        kind = genes["rule"]
        match kind:
            case "cfgpp":
                scale /= CFGPP
            case "pag" | "classifier":
                scale -= 1.0
        rule: Rule = {"rule": kind, "scale": round_float(scale)}
        if kind == "pag":
            rule["heads"] = {genes["layer"]: "all"}
        if kind == "weak":
            rule["sites"] = {genes["weaker"]: "skip"}
        own = (name for name, owner in _NUMBERS.items() if owner == kind)
        return rule | {name: genes[name] for name in own if genes[name] != 1.0}

    def from_rule(self, rule: Rule) -> tuple[Genes, float]:
        """The genes and the scale of a rule; of what it does not say, the default."""
        kind, scale = rule["rule"], float(rule["scale"])
        genes = self.default() | {"rule": kind}
        match kind:
            case "cfgpp":
                scale *= CFGPP
            case "pag":
                scale += 1.0
                genes["layer"] = next(iter(rule["heads"]))
            case "classifier":
                scale += 1.0
            case "weak":
                genes["weaker"] = next(iter(rule["sites"]))
        return genes | {name: rule[name] for name in _NUMBERS if name in rule}, scale


def interval_steps(genes: Mapping[str, float], count: int) -> range:
    """The steps between ``first`` and ``last``, which are shares of their number."""
    return range(round(genes["first"] * count), round(genes["last"] * count))


def order_ends(genes: Genes) -> Genes:
    """Genes whose ``first`` is not above ``last``."""
    first, last = sorted((genes["first"], genes["last"]))
    return {**genes, "first": first, "last": last}


def real_range(where: str, given: Any, largest: float) -> Real:
    """The gene of a setting that must be two ends from 0 to the largest, with few digits."""
    low, high = (round(float(end), DIGITS) for end in checked_ends(where, given, 0.0, largest))
    return Real(low, high, DIGITS, width=_WIDTH)


def scale_range(where: str, given: Any, largest: float) -> Real:
    """The gene of a scale of guidance, which moves by factors."""
    return replace(real_range(where, given, largest), factor=_SCALE_FACTOR)


def _checked_rules(rules: Sequence[str], where: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(rules)) if isinstance(rules, list | tuple) else ()
    if not chosen:
        raise UserError(f"{where}.rules: expected a list of rules, got {rules!r}")
    for rule in chosen:
        if rule not in RULES:
            raise unknown_name("rule", str(rule), RULES, where=f"{where}.rules")
    return chosen


def _check_able(rule: str, denoiser: Denoiser, where: str) -> None:
    lacks = {
        "cfg": "uncond" not in denoiser.conditions,
        "cfgpp": "uncond" not in denoiser.conditions,
        "classifier": denoiser.classifier is None,
        "pag": not denoiser.heads,
        "weak": not denoiser.sites,
    }
    needs = {
        "classifier": "has a classifier of its classes",
        "pag": "has attention heads",
        "weak": "has sites to leave out",
    }
    if lacks[rule]:
        needed = needs.get(rule, "also runs without its condition")
        raise UserError(
            f"{where}: rule {rule!r} needs a model that {needed}, and this one does not; take it "
            "from the rules, or leave the family out"
        )
