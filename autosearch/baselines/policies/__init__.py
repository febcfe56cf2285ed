"""Fixed rules of what a recipe leaves out, by a name's ``+POLICY``: one file for each kind."""

from autosearch.baselines.base import Policy
from autosearch.baselines.policies import caches, gates, masks, pruning
from autosearch.registry import Parts

__all__ = ["POLICIES"]


POLICIES = Parts(
    "policy",
    {**caches.POLICIES, **gates.POLICIES, **pruning.POLICIES, **masks.POLICIES},
    Policy,
    group="autosearch.policies",
)
