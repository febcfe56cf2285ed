"""Prune: sites that no step runs."""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autosearch._typing import Rng
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan.recovery import WEIGHTS
from autosearch.errors import UserError, validated
from autosearch.recipe import Recovery
from autosearch.recipe.schema import round_numbers
from autosearch.spaces.base import Genome, Parameter, checked_ends
from autosearch.spaces.prune_masks import AnySubset, Intervals, MaskForm, Pattern
from autosearch.spaces.site_masks import OwnedSites, chosen_sites

__all__ = ["Prune"]

_WHERE = "space.prune"
_PATTERN = re.compile(r"([0-9]{1,4}):([0-9]{1,4})")


@dataclass(kw_only=True, eq=False)
class Prune(OwnedSites):
    """A set of sites that are skipped at every step, in every branch.

    Any subset, or one of a form: ``pattern`` keeps N of each M neighbours (TinyFusion; with
    ``sites: parts`` attention and feed-forward apart), ``intervals`` takes out a few runs of
    neighbours (PPCL). Goes together with families of the same recipe, such as ``cache``: what is
    pruned is pruned, whatever a step asks for there.

    What it finds without recovery says little of what it would be after (TinyFusion, section 4):
    with ``recovery`` every candidate is fine-tuned before it is measured, the same for all.

    Args:
        sites: ``blocks``, ``parts`` or names of what may go.
        remove: the least and the largest number of sites of any subset; by default up to all but
            one.
        pattern: ``N:M``, such as 2:4.
        intervals: the largest number of runs.
        longest: sites in a run, at most; by default half of them.
        recovery: ``steps``, ``rate`` and ``seed`` of the training of each candidate.

    Raises:
        UserError: for sites that the model lacks and impossible settings.
    """

    name = "prune"
    summary = "sites that no step runs: any subset, N:M patterns, or runs of neighbours"
    fields = ("pruned", "recovery")
    odds = 0.5

    sites: str | Sequence[str] = "blocks"
    remove: Sequence[int] | None = None
    pattern: str | None = None
    intervals: int | None = None
    longest: int | None = None
    recovery: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        self.sites = chosen_sites(self.denoiser, self.sites, where=f"{_WHERE}.sites")
        if self.pattern is not None and self.intervals is not None:
            raise UserError(f"{_WHERE}: pattern and intervals are two forms; leave one out")
        if self.remove is not None and (self.pattern or self.intervals):
            raise UserError(f"{_WHERE}.remove: it goes with any subset; leave it or the form out")
        if self.longest is not None and self.intervals is None:
            raise UserError(f"{_WHERE}.longest: it goes with intervals; leave it out")
        self.form = self._form()
        if self.recovery is not None:
            self.recovery = _recovery(self.recovery, self.denoiser)

    def elements(self) -> Sequence[Hashable]:
        """Every site that may go."""
        return self.sites

    def choose(self, genome: Genome, chosen: frozenset[Hashable]) -> None:
        """Prune exactly these, or what of the form is nearest to them."""
        self._write(genome, [str(name) for name in chosen])

    def randomize(self, genome: Genome, rng: Rng) -> None:
        self._write(genome, self.form.draw(rng))

    def mutate(self, genome: Genome, rng: Rng) -> None:
        self._write(genome, self.form.move(genome.get("pruned", []), rng))

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        mixed = self.form.mix(child.get("pruned", []), other.get("pruned", []), rng)
        self._write(child, mixed)

    def repair(self, genome: Genome) -> None:
        self._write(genome, genome.get("pruned", []))

    def encodes(self, genome: Genome) -> bool:
        given = genome.get("pruned", [])
        return set(given) == set(self.form.nearest(given))

    def box(self) -> Sequence[Parameter]:
        """The form's, where it has few: a choice for each site or group, or runs' ends."""
        return self.form.box()

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        self._write(genome, self.form.from_box(values))

    def _write(self, genome: Genome, pruned: Sequence[str]) -> None:
        genome.pop("pruned", None)
        genome.pop("recovery", None)
        kept = self.form.nearest(pruned)
        if not kept:
            return
        genome["pruned"] = kept
        if self.recovery is not None:
            genome["recovery"] = dict(self.recovery)
            # Weights that were recovered for other sites, or for these: the plan knows the latter.
            artifacts = {k: v for k, v in genome.pop("artifacts", {}).items() if k != WEIGHTS}
            if artifacts:
                genome["artifacts"] = artifacts

    def _form(self) -> MaskForm:
        """The subsets that the settings ask for."""
        count = len(self.sites)
        if self.pattern is not None:
            match = _PATTERN.fullmatch(self.pattern)
            keep, group = (int(match[1]), int(match[2])) if match else (0, 0)
            if not 0 < keep < group:
                raise UserError(
                    f"{_WHERE}.pattern: {self.pattern!r} is no pattern; write N:M with "
                    "0 < N < M, such as 2:4"
                )
            return Pattern(_kinds(self.sites), keep, group)
        if self.intervals is not None:
            most = max(count // 2, 1) if self.longest is None else self.longest
            if self.intervals < 1 or not 1 <= most <= count:
                raise UserError(
                    f"{_WHERE}.intervals: expected at least 1, and longest from 1 to {count}"
                )
            return Intervals(self.sites, self.intervals, most)
        ends = [0, max(count - 1, 0)] if self.remove is None else list(self.remove)
        return AnySubset(self.sites, *checked_ends(f"{_WHERE}.remove", ends, 0, count, whole=True))


def _recovery(given: Mapping[str, Any], denoiser: Denoiser) -> dict[str, Any]:
    """The settings as recipes write them."""
    where = f"{_WHERE}.recovery"
    if not denoiser.recoverable:
        raise UserError(
            f"{where}: this model has no network whose weights can be trained here; leave it out"
        )
    found = validated(Recovery, round_numbers(given), where=where)
    return found.model_dump(exclude_defaults=True)


def _kinds(names: Sequence[str]) -> list[list[str]]:
    """The names by their last word, so that attention and feed-forward are counted apart."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        last = name.rpartition(".")[2]
        kinds.setdefault("" if last.isdigit() else last, []).append(name)
    return list(kinds.values())
