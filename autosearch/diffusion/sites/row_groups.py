"""Groups the rows of a batch by the action that they take at a site."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from autosearch.diffusion.sites.branches import Branch
from autosearch.diffusion.sites.memory import FeatureMemory, Lookup, Put
from autosearch.diffusion.sites.sites import Site, SiteTable
from autosearch.recipe.actions import Action, feature_site

__all__ = ["Group", "Running", "gather_rows", "scatter_rows"]


@dataclass(frozen=True)
class Group:
    """Rows of one branch that do alike.

    Attributes:
        at: where they stand in the batch at this moment.
        rows: which samples they are; None for all of them.
        passed: whether they passed the branch's gate; None while that is open.
    """

    branch: Branch
    at: slice | Tensor
    rows: Tensor | None = None
    passed: bool | None = None

    @property
    def key(self) -> tuple[str, bool]:
        """The branch, and whether the rows passed its gate: these decide their actions."""
        return self.branch.name, bool(self.passed)

    @property
    def size(self) -> int:
        """How many rows."""
        return self.at.stop - self.at.start if isinstance(self.at, slice) else len(self.at)


@dataclass(frozen=True)
class _Record:
    """A feature that is stored when a module has run; ``base``: less what that one was given."""

    feature: str
    site: str
    base: str | None


@dataclass(eq=False)
class Running:
    """One call of the network: its rows in groups, their actions, and what is stored of it.

    Attributes:
        coordinate: where the call stands on the axis along which features are forecast.
        touched: the sites whose modules are to be intercepted.
    """

    sites: SiteTable
    branches: Sequence[Branch]
    memory: FeatureMemory | None
    coordinate: float

    def __post_init__(self) -> None:
        sites = self.sites
        self._layout: list[Group] = []
        self._passed: dict[str, Tensor] = {}
        self._inputs: dict[str, Tensor] = {}
        self._records = _records(sites, self.memory)
        self._stand_ins: dict[tuple[str, bool], dict[str, tuple[Site, Action]]] = {}
        self._stored: dict[tuple[str, bool], set[str]] = {}
        recorded = {record.site for records in self._records.values() for record in records}
        for branch in self.branches:
            for passed in (False,) if branch.gate is None else (False, True):
                actions = branch.passing_actions if passed else branch.actions
                self._stand_ins[branch.name, passed] = sites.stand_ins(actions)
                self._stored[branch.name, passed] = {
                    site for site in recorded if branch.computes(site, sites)[passed]
                }
        self._probes = {one.gate.probe for one in self.branches if one.gate is not None}
        records = (record for group in self._records.values() for record in group)
        self._bases = {record.base for record in records if record.base is not None}
        self.touched = self._probes.union(self._records, self._bases, *self._stand_ins.values())

    def groups(self, total: int) -> list[Group]:
        """The rows of a batch of ``total``, apart where a gate has decided."""
        if not self._layout:
            size = total // len(self.branches)
            self._layout = [
                Group(branch, slice(i * size, (i + 1) * size))
                for i, branch in enumerate(self.branches)
            ]
        return [part for group in self._layout for part in self._decided(group)]

    def _decided(self, group: Group) -> list[Group]:
        mask = self._passed.get(group.branch.name)
        if group.passed is not None or mask is None:
            return [group]
        # While a gate is open its branch stands in the batch as a whole.
        assert isinstance(group.at, slice)
        assert group.rows is None
        apart = []
        for passed in (False, True):
            rows = (mask == passed).nonzero()[:, 0]
            if len(rows) == len(mask):
                return [replace(group, passed=passed)]
            apart.append(Group(group.branch, rows + group.at.start, rows, passed))
        return apart

    @contextmanager
    def only(self, groups: Sequence[Group]) -> Iterator[None]:
        """Inside, the batch holds these groups alone, one after the other."""
        before, start = self._layout, 0
        self._layout = []
        for group in groups:
            self._layout.append(replace(group, at=slice(start, start + group.size)))
            start += group.size
        yield
        self._layout = before

    def enter(self, name: str, hidden: Tensor) -> None:
        """Keep what a site is given, where a range begins."""
        if name in self._bases:
            self._inputs[name] = hidden

    def stand_in(self, group: Group, name: str) -> tuple[Site, Action] | None:
        """The site and the action that replace a site in these rows; None where they compute it."""
        return self._stand_ins[group.key].get(name)

    def without(self, group: Group, site: Site, action: Action, hidden: Tensor) -> Tensor:
        """The output of rows [B, ...] that do not compute a site, from its input ``hidden``."""
        if action.kind == "skip":
            return hidden if site.residual else torch.zeros_like(hidden)
        assert self.memory is not None
        feature = action.feature(site.name)
        asked = Lookup(group.branch.name, feature, self.coordinate, action.order)
        onto = hidden if site.residual and action.kind != "output" else None
        return self.memory.get(asked, onto=onto, rows=group.rows)

    def decide(self, name: str, hidden: Tensor, output: Tensor) -> None:
        """Open the gates whose probe has just run."""
        if name not in self._probes:
            return
        for group in self.groups(len(hidden)):
            gate = group.branch.gate
            if gate is None or gate.probe != name or group.passed is not None:
                continue
            assert self.memory is not None
            difference = gate.measure == "change" and self.sites[name].residual
            computed = output[group.at] - hidden[group.at] if difference else output[group.at]
            asked = Lookup(group.branch.name, gate.feature, self.coordinate, gate.order)
            mask = gate.passes(computed, self.memory.get(asked, rows=group.rows))
            self._passed[group.branch.name] = mask
            self.memory.passed(mask, gate.saves)

    def record(self, name: str, hidden: Tensor, output: Tensor) -> None:
        """Store the features that a site's run completes; tensors are [B, ...]."""
        for record in self._records.get(name, ()):
            groups = self.groups(len(hidden))
            storing = [group for group in groups if record.site in self._stored[group.key]]
            if not storing:
                continue
            value = output
            if record.base is not None:
                value = output - (hidden if record.base == name else self._inputs[record.base])
            assert self.memory is not None
            for group in storing:
                branch, part = group.branch.name, value[group.at]
                self.memory.put(Put(branch, record.feature, self.coordinate, part, group.rows))


def _records(sites: SiteTable, memory: FeatureMemory | None) -> dict[str, list[_Record]]:
    """The features to store, by the module that has run when they can be."""
    records: dict[str, list[_Record]] = {}
    for feature in memory.keep if memory is not None else ():
        site = sites[feature_site(feature)]
        first, last = (site.members[0], site.members[-1]) if site.members else (site.name,) * 2
        difference = site.residual and feature == site.name
        records.setdefault(last, []).append(
            _Record(feature, site.name, first if difference else None)
        )
    return records


def gather_rows(value: Any, groups: Sequence[Group], total: int) -> Any:
    """The groups' rows of a tensor [total, ...]; anything else is returned as it is."""
    if not isinstance(value, Tensor) or value.dim() == 0 or len(value) != total:
        return value
    parts = [value[group.at] for group in groups]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def scatter_rows(pieces: Sequence[tuple[slice | Tensor, Tensor]], total: int) -> Tensor:
    """A tensor [total, ...] put together from pieces of its rows."""
    if len(pieces) == 1:
        return pieces[0][1]
    starts = [at.start for at, _ in pieces if isinstance(at, slice)]
    if len(starts) == len(pieces):
        order = sorted(range(len(pieces)), key=starts.__getitem__)
        return torch.cat([pieces[i][1] for i in order])
    whole = pieces[0][1].new_empty((total, *pieces[0][1].shape[1:]))
    for at, piece in pieces:
        whole[at] = piece
    return whole
