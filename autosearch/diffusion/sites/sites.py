"""Sites of a network: modules, and ranges of them, that a recipe may leave out."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autosearch.recipe.actions import Action

__all__ = ["RANGE", "Site", "SiteTable", "blocks", "parts", "span"]

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

    def parents(self, name: str) -> list[str]:
        """The sites that contain a site or range, the innermost first."""
        containing: list[str] = []
        while (parent := self[containing[-1] if containing else name].parent) is not None:
            containing.append(parent)
        return containing

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
        parents = self.parents(name)
        return not actions.keys().isdisjoint(parents) or any(
            here in members for members in ranges for here in (name, *parents)
        )

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
        """The site and the action that replace each site whose module is not run.

        The first member of a range stands for all of it, and the others pass their input on.
        """
        stand_ins: dict[str, tuple[Site, Action]] = {}
        for name, action in actions.items():
            site = self[name]
            stand_ins |= {member: (self[member], Action("skip")) for member in site.members}
            stand_ins[site.members[0] if site.members else name] = (site, action)
        return stand_ins

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


def blocks(sites: Sequence[Site]) -> list[str]:
    """The outermost sites whose output contains their input, in execution order."""
    return [site.name for site in sites if site.parent is None and site.residual]


def parts(sites: Sequence[Site], inside: Collection[str] | None = None) -> list[str]:
    """The innermost sites, in execution order; with ``inside``, those of these blocks."""
    table = SiteTable(sites)
    containing = {site.parent for site in sites}
    innermost = [site.name for site in sites if site.name not in containing]
    if inside is None:
        return innermost
    return [name for name in innermost if [name, *table.parents(name)][-1] in inside]


def span(names: Sequence[str]) -> str:
    """The name of a range of neighbouring blocks as one site."""
    return names[0] if len(names) == 1 else f"{names[0]}{RANGE}{names[-1]}"
