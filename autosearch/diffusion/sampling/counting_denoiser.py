"""A denoiser whose calls are counted, whoever makes them."""

from collections.abc import Callable, Sequence

from torch import Tensor

from autosearch.diffusion.artifact_store import ArtifactStore
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan.reachability import branch_macs
from autosearch.diffusion.sites.branches import COND, Branch
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.diffusion.sites.sites import SiteTable
from autosearch.recipe import Artifact

__all__ = ["CountingDenoiser"]


class CountingDenoiser(Denoiser):
    """Says what another denoiser says, and tells what its calls take.

    Args:
        inner: the other denoiser.
        count: told of each call's multiply-accumulates, as if no sample passed a gate.
    """

    def __init__(self, inner: Denoiser, count: Callable[[int], None]) -> None:
        for name in Denoiser.__annotations__:
            setattr(self, name, getattr(inner, name))
        self._inner = inner
        self._count = count
        self._by_name = SiteTable(inner.sites)

    def with_weights(
        self, weights: Artifact | None, artifact_store: ArtifactStore
    ) -> "CountingDenoiser":
        inner = self._inner.with_weights(weights, artifact_store)
        return self if inner is self._inner else CountingDenoiser(inner, self._count)

    def denoise(
        self,
        x: Tensor,
        t: float,
        condition: Tensor | None,
        *,
        branches: Sequence[Branch] = (COND,),
        memory: FeatureMemory | None = None,
    ) -> dict[str, Tensor]:
        self._count(branch_macs(branches, self.macs, self._by_name) * len(x))
        return self._inner.denoise(x, t, condition, branches=branches, memory=memory)
