"""A network's blocks and their parts, as caches and pruning patterns speak of them."""

from collections.abc import Collection, Sequence

from autosearch.diffusion.sites.sites import RANGE, Site

__all__ = ["blocks", "parts", "span"]


def blocks(sites: Sequence[Site]) -> list[str]:
    """The outermost sites whose output contains their input, in execution order."""
    return [site.name for site in sites if site.parent is None and site.residual]


def parts(sites: Sequence[Site], inside: Collection[str] | None = None) -> list[str]:
    """The innermost sites, in execution order; with ``inside``, those of these blocks."""
    parents = {site.name: site.parent for site in sites}
    containing = set(parents.values())
    innermost = [site.name for site in sites if site.name not in containing]
    if inside is None:
        return innermost
    return [name for name in innermost if _outermost(name, parents) in inside]


def span(names: Sequence[str]) -> str:
    """The name of a range of neighbouring blocks as one site."""
    return names[0] if len(names) == 1 else f"{names[0]}{RANGE}{names[-1]}"


def _outermost(name: str, parents: dict[str, str | None]) -> str:
    while (parent := parents[name]) is not None:
        name = parent
    return name
