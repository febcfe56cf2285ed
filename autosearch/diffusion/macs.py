"""Multiply-accumulates of a network, counted while it runs, whatever kernels the library picks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.backends import mha
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["MacCounter", "count_macs"]


class MacCounter:
    """The multiply-accumulates of a block under :func:`count_macs`, also while it still runs."""

    def __init__(self, flops: FlopCounterMode) -> None:
        self._flops = flops

    @property
    def total(self) -> int:
        """Multiply-accumulates so far."""
        return self._flops.get_total_flops() // 2

    def of(self, module: str) -> int:
        """Multiply-accumulates of one module, by its path after the class of the outermost one.

        ``DiT.blocks.0.attn``, say; 0 for a module that did not run.
        """
        return sum(self._flops.get_flop_counts().get(module, {}).values()) // 2


@contextmanager
def count_macs() -> Iterator[MacCounter]:
    """Count the body's matrix products, convolutions and attention; the same on the meta device.

    Attention counts as its two matrix products, masked or not. torch's own counter knows some of
    the fused kernels and takes the others, those of the CPU among them, for nothing; and
    ``nn.MultiheadAttention`` has a short cut of which no counter sees the inside. Element-wise work
    is not counted. Kernels of other libraries (flash-attn, xformers) are not seen.
    """
    fast = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False, custom_mapping=_attention_kernels()) as flops:
            yield MacCounter(flops)
    finally:
        mha.set_fastpath_enabled(fast)


def _attention_kernels() -> dict[Any, Any]:
    """A formula for each fused kernel of attention that this torch has, by whatever name."""
    return {
        getattr(torch.ops.aten, name): _attention_flops
        for name in dir(torch.ops.aten)
        if name.startswith("_scaled_dot_product_") and not name.endswith("_backward")
    }


def _attention_flops(
    query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...], *_: Any, **__: Any
) -> int:
    """Floating-point operations of attention on shapes (rows, heads, tokens, width).

    Several heads may share keys and values.
    """
    rows, heads, queries, width = query
    keys, value_width = value[-2:]
    return 2 * rows * heads * queries * keys * (width + value_width)
