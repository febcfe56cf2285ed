"""Sites of a network, what may stand in for them, and the memory of their features."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from autosearch.recipe.actions import Action

__all__ = ["RANGE", "FeatureMemory", "Put", "Site", "SiteTable", "extrapolate"]

# Between the first and the last site of a range, as in ``block.2..block.5``.
RANGE = ".."


@dataclass(frozen=True)
class Site:
    """A sub-module that a recipe may skip, reuse or forecast, or a range of such.

    Attributes:
        name: ``block.3``, ``block.3.attn``, ``block.3.mlp``, ``block.2..block.5``.
        macs: multiply-accumulates of one sample, children included.
        elements: numbers that storing its feature takes for one sample.
        parent: the site that contains it.
        residual: whether the module's output contains its input; then the difference is stored,
            and a skip passes the input on. Otherwise the output is stored and a skip gives zeros.
        members: of a range, its sites; its feature is what they do together.
    """

    name: str
    macs: int
    elements: int
    parent: str | None = None
    residual: bool = False
    members: tuple[str, ...] = ()


class SiteTable(Mapping[str, Site]):
    """The sites of a model by name, in execution order; ranges of them are found by name too.

    A range goes from one residual site to a later one of the same parent. It is one site with one
    feature: what the last gives less what the first is given.
    """

    def __init__(self, sites: Sequence[Site]) -> None:
        self._sites = {site.name: site for site in sites}
        self._order = {name: i for i, name in enumerate(self._sites)}
        self._ranges: dict[str, Site] = {}

    def __getitem__(self, name: str) -> Site:
        """The site or range of a name.

        Raises:
            KeyError: for a name that is none.
        """
        if name in self._sites:
            return self._sites[name]
        if name not in self._ranges:
            self._ranges[name] = self._range(name)
        return self._ranges[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)

    def position(self, name: str) -> tuple[int, int]:
        """Where a site comes in execution order; ranges just before their first member."""
        members = self[name].members
        return self._order[members[0] if members else name], -len(members)

    def canonical(self, name: str) -> str:
        """The name; of a range of one, the site's."""
        members = self[name].members
        return members[0] if len(members) == 1 else name

    def covered(self, name: str, actions: Mapping[str, Action]) -> bool:
        """Whether a site is inside another one, or a range, that has an action.

        A range is when any of its members is.
        """
        site = self[name]
        ranges = [self[other].members for other in actions if RANGE in other and other != name]
        if any(member in members for members in ranges for member in site.members):
            return True
        here: str | None = name
        while here is not None:
            if here != name and here in actions:
                return True
            if any(here in members for members in ranges):
                return True
            here = self[here].parent
        return False

    def runs(self, name: str, actions: Mapping[str, Action]) -> bool:
        """Whether a site is computed, so that its feature is known.

        A range is when no member's feature comes from earlier steps; some may be skipped.
        """
        site = self[name]
        if not actions:
            return True
        if name in actions or self.covered(name, actions):
            return False
        inner = [actions.get(member) for member in site.members]
        return not inner or (
            None in inner
            and all(action is None or action.kind == "skip" for action in inner)
            and not any(self.covered(member, actions) for member in site.members)
        )

    def stand_ins(self, actions: Mapping[str, Action]) -> dict[str, tuple[Site, Action]]:
        """For each site whose module is not run: what is taken for it, and how.

        The first member of a range stands for all of it, and the others pass their input on.
        """
        found: dict[str, tuple[Site, Action]] = {}
        for name, action in actions.items():
            site = self[name]
            found |= {member: (self[member], Action("skip")) for member in site.members}
            found[site.members[0] if site.members else name] = (site, action)
        return found

    def _range(self, name: str) -> Site:
        first, separator, last = name.partition(RANGE)
        if not separator or first not in self._sites or last not in self._sites:
            raise KeyError(name)
        names = list(self._sites)[self._order[first] : self._order[last] + 1]
        between = [
            self._sites[other]
            for other in names
            if self._sites[other].parent == self._sites[first].parent
        ]
        if not between or between[-1].name != last or not all(site.residual for site in between):
            raise KeyError(name)
        return Site(
            name,
            sum(site.macs for site in between),
            between[-1].elements,
            between[0].parent,
            residual=True,
            members=tuple(site.name for site in between),
        )


class Put(NamedTuple):
    """What one call of :meth:`FeatureMemory.put` was told."""

    branch: str
    name: str
    coordinate: float
    feature: Tensor
    rows: Tensor | None


@dataclass
class FeatureMemory:
    """Features of past steps, keyed by (branch, feature); rows of two branches never mix.

    ``keep`` gives, for each feature worth storing, how many computed ones are held. The rows of a
    branch are all alike: what is stored of one is stored of all, at the same coordinate.

    ``told``, where it is a list, gets everything that changes the memory, in order.
    """

    keep: Mapping[str, int]
    told: list[Any] | None = None
    _stored: dict[tuple[str, str], list[tuple[float, Tensor]]] = field(default_factory=dict)

    def put(
        self,
        branch: str,
        name: str,
        coordinate: float,
        feature: Tensor,
        rows: Tensor | None = None,
    ) -> None:
        """Add the feature computed at ``coordinate``; the oldest beyond ``keep`` is dropped.

        A second one at the same coordinate, as an implicit corrector computes, takes its place.
        """
        assert rows is None
        if self.told is not None:
            self.told.append(Put(branch, name, coordinate, feature, rows))
        entries = self._stored.setdefault((branch, name), [])
        if entries and entries[-1][0] == coordinate:
            entries.pop()
        entries.append((coordinate, feature))
        del entries[: -self.keep[name]]

    def get(
        self,
        branch: str,
        name: str,
        coordinate: float,
        order: int,
        *,
        onto: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """The feature extrapolated to ``coordinate``, added to ``onto`` where that is given.

        Raises:
            KeyError: when nothing was stored for this branch and feature.
        """
        assert rows is None
        entries = self._stored[branch, name][-(order + 1) :]
        return extrapolate(entries, coordinate, onto=onto)

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        entries = (f for features in self._stored.values() for _, f in features)
        return sum(f.numel() * f.element_size() for f in entries)


def extrapolate(
    entries: Sequence[tuple[float, Tensor]], coordinate: float, *, onto: Tensor | None = None
) -> Tensor:
    """Polynomial through the entries at a new coordinate (Lagrange form, true gaps).

    At orders 0 and 1 this is reuse and TaylorSeer's forecast (Liu et al. 2025). From order 2 on we
    deviate: its Taylor series takes backward differences for derivatives, which is not exact for
    polynomials of that degree; this is, on any grid.
    """
    if len(entries) == 1:
        feature = entries[0][1]
        return feature if onto is None else onto + feature
    coordinates = [at for at, _ in entries]
    weights = [_lagrange(coordinates, i, coordinate) for i in range(len(entries))]
    features = [feature for _, feature in entries]
    # As few passes over memory as there can be: on a CPU they are what a forecast costs.
    if onto is None and len(entries) == 2:
        return torch.lerp(features[0], features[1], weights[1])
    total = features[0] * weights[0] if onto is None else onto.add(features[0], alpha=weights[0])
    for weight, feature in zip(weights[1:], features[1:], strict=True):
        total.add_(feature, alpha=weight)
    return total


def _lagrange(coordinates: Sequence[float], which: int, coordinate: float) -> float:
    """Value at a coordinate of the polynomial that is 1 at one of the others and 0 at the rest."""
    weight = 1.0
    for i, other in enumerate(coordinates):
        if i != which:
            weight *= (coordinate - other) / (coordinates[which] - other)
    return weight
