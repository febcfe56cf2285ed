"""Rules of guidance as choices: what the families that write guidance have in common."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from autosearch.diffusion.denoiser import Denoiser
from autosearch.errors import UserError, unknown_name
from autosearch.recipe import round_float
from autosearch.spaces.base import Family, Genome, Parameter, Rng

__all__ = ["CFGPP", "DIGITS", "RULES", "Genes", "GuidanceFamily", "RuleChoice", "checked_range"]

Genes = dict[str, Any]
Rule = dict[str, Any]

RULES = ("cfg", "cfgpp", "classifier", "pag", "weak")
# CFG++'s scales from 0 to 1 stand for classifier-free ones from 1 to 12.5 (Chung et al. 2025); that
# they do so in proportion is our simplification.
CFGPP = 12.5
DIGITS = 3
# What a rule has besides its scale: numbers, and one of a list.
_NUMBERS = {"strength": "pag", "temperature": "classifier", "discount": "classifier"}
_CHOICES = {"layer": "pag", "weaker": "weak"}


class GuidanceFamily(Family):
    """A family that writes guidance; several may share the steps, each with rules of its own.

    ``rules`` are the kinds that it writes. What a step has of kinds that no other family of the
    space writes must be its own.
    """

    fields = ("guidance",)
    rules: tuple[str, ...]
    _foreign: frozenset[str] = frozenset()

    def joined(self, families: Sequence[Family]) -> None:
        """Leave alone what other families write.

        Raises:
            UserError: when another family writes the same rule.
        """
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

    def shown(self, genome: Genome) -> list[list[Rule]]:
        """The rules of each step that are this family's to write."""
        return [
            [rule for rule in step.get("guidance", []) if rule["rule"] not in self._foreign]
            for step in genome["steps"]
        ]

    def write(self, genome: Genome, per_step: Sequence[Sequence[Rule]]) -> None:
        """Set them, beside what other families wrote, in an order that does not depend on who."""
        for step, own in zip(genome["steps"], per_step, strict=True):
            known = step.pop("guidance", [])
            kept = [rule for rule in known if rule["rule"] in self._foreign]
            if kept or own:
                step["guidance"] = sorted([*kept, *own], key=lambda r: RULES.index(r["rule"]))


class RuleChoice:
    """One of some rules, with the choices that only it has.

    All scales are in the unit of ``cfg``, where 1 changes nothing: ``cfgpp`` is given a 12.5th of
    it, ``pag`` and ``classifier``, which add to the conditional prediction, 1 less.

    Args:
        denoiser: the model.
        rules: names of rules.
        ranges: ``strength``, ``temperature`` and ``discount``, two ends each.
        choices: ``layer`` and ``weaker``: sites; None for all that the model has.
        where: the place in the experiment, for messages.

    Raises:
        UserError: for a rule, a layer or a site that the model lacks, and impossible ranges.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        rules: Sequence[str],
        *,
        ranges: Mapping[str, Sequence[float]],
        choices: Mapping[str, Sequence[str] | None],
        where: str,
    ) -> None:
        self.rules = _checked_rules(rules, where)
        for rule in self.rules:
            _check_able(rule, denoiser, where)
        valid = {
            "layer": tuple(denoiser.heads),
            "weaker": tuple(site.name for site in denoiser.sites),
        }
        outer = [site.name for site in denoiser.sites if site.parent is None]
        default = {"layer": valid["layer"], "weaker": tuple(outer)}
        self.ranges = {
            name: checked_range(name, ends, 100.0 if name == "temperature" else 1.0, where=where)
            for name, ends in ranges.items()
            if _NUMBERS[name] in self.rules
        }
        self.choices = {
            name: _checked_choice(name, given, valid[name], where) if given else default[name]
            for name, given in choices.items()
            if _CHOICES[name] in self.rules
        }

    def draw(self, rng: Rng) -> Genes:
        """Anything."""
        genes: Genes = {"rule": str(rng.choice(self.rules))}
        genes |= {name: str(rng.choice(valid)) for name, valid in self.choices.items()}
        return genes | {name: float(rng.uniform(*ends)) for name, ends in self.ranges.items()}

    def default(self) -> Genes:
        """The first of everything; of numbers what is nearest to 1."""
        genes = {"rule": self.rules[0]} | {name: valid[0] for name, valid in self.choices.items()}
        return self.clipped(genes | dict.fromkeys(self.ranges, 1.0))

    def changed(self, genes: Genes, rng: Rng) -> bool:
        """Change the rule, or something that only the present rule has; False for nothing."""
        if len(self.rules) > 1 and rng.random() < 0.2:
            others = [rule for rule in self.rules if rule != genes["rule"]]
            genes["rule"] = str(rng.choice(others))
            return True
        own = [name for name, rule in (_NUMBERS | _CHOICES).items() if rule == genes["rule"]]
        own = [name for name in own if self._varies(name)]
        if not own or rng.random() < 0.5:
            return False
        name = str(rng.choice(own))
        if name in self.ranges:
            low, high = self.ranges[name]
            genes[name] += 0.2 * (high - low) * float(rng.standard_normal())
        else:
            genes[name] = str(rng.choice(self.choices[name]))
        return True

    def clipped(self, genes: Genes) -> Genes:
        """Inside the settings, with few digits."""
        rule = genes["rule"] if genes["rule"] in self.rules else self.rules[0]
        result: Genes = {"rule": rule}
        for name, valid in self.choices.items():
            result[name] = genes[name] if genes.get(name) in valid else valid[0]
        for name, (low, high) in self.ranges.items():
            result[name] = round(min(max(float(genes.get(name, 1.0)), low), high), DIGITS)
        return result

    def parameters(self) -> list[Parameter]:
        """The box: only what varies."""
        found = [Parameter("rule", "choice", choices=self.rules)] if len(self.rules) > 1 else []
        found += [
            Parameter(name, "choice", choices=valid)
            for name, valid in self.choices.items()
            if self._varies(name)
        ]
        found += [
            Parameter(name, "float", *ends)
            for name, ends in self.ranges.items()
            if self._varies(name)
        ]
        return found

    def at(self, values: Mapping[str, Any]) -> Genes:
        """The choices of a point of the box."""
        return self.clipped(self.default() | {k: v for k, v in values.items() if k in self.names})

    @property
    def names(self) -> set[str]:
        """The names of the genes."""
        return {"rule", *self.choices, *self.ranges}

    def written(self, genes: Genes, scale: float) -> Rule:
        """A rule as recipes have it, with nothing at its default."""
        match genes["rule"]:
            case "cfgpp":
                return {"rule": "cfgpp", "scale": round_float(scale / CFGPP)}
            case "pag":
                rule = {"rule": "pag", "scale": round_float(scale - 1.0)}
                rule["heads"] = {genes["layer"]: "all"}
            case "classifier":
                rule = {"rule": "classifier", "scale": round_float(scale - 1.0)}
            case "weak":
                rule = {"rule": "weak", "scale": round_float(scale)}
                rule["sites"] = {genes["weaker"]: "skip"}
            case _:
                return {"rule": "cfg", "scale": round_float(scale)}
        own = (name for name, kind in _NUMBERS.items() if kind == genes["rule"])
        return rule | {name: genes[name] for name in own if genes[name] != 1.0}

    def read(self, rule: Rule) -> tuple[Genes, float]:
        """The choices and the scale of a rule; of what it does not say, the default."""
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
        given = {name: rule[name] for name in _NUMBERS if name in rule}
        return genes | given, scale

    def _varies(self, name: str) -> bool:
        if name in self.choices:
            return len(self.choices[name]) > 1
        return name in self.ranges and self.ranges[name][0] < self.ranges[name][1]


def checked_range(
    name: str, given: Sequence[float], largest: float, *, where: str
) -> tuple[float, float]:
    """Two ends from 0 to the largest, with few digits.

    Raises:
        UserError: for anything else.
    """
    numbers = isinstance(given, list | tuple) and len(given) == 2
    if not numbers or not all(type(value) in (int, float) for value in given):
        raise UserError(f"{where}.{name}: expected two numbers [least, most], got {given!r}")
    low, high = (round(float(value), DIGITS) for value in given)
    if not 0 <= low <= high <= largest:
        raise UserError(
            f"{where}.{name}: expected 0 <= least <= most <= {largest:g}, got [{low:g}, {high:g}]"
        )
    return low, high


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


def _checked_choice(
    name: str, given: Sequence[str], valid: Collection[str], where: str
) -> tuple[str, ...]:
    for one in given:
        if one not in valid:
            raise unknown_name("site", str(one), valid, where=f"{where}.{name}")
    return tuple(dict.fromkeys(given))
