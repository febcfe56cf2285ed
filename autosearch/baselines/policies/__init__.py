"""Fixed rules of what a recipe leaves out, by a name's ``+POLICY``: one file for each kind."""

from collections.abc import Mapping

from autosearch.baselines.base import Policy
from autosearch.baselines.policies import caches, gates, masks, pruning

__all__ = ["POLICIES"]

POLICIES: Mapping[str, Policy] = {
    **caches.POLICIES,
    **gates.POLICIES,
    **pruning.POLICIES,
    **masks.POLICIES,
}
