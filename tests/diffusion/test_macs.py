"""Counted multiply-accumulates are the closed forms, whatever kernel computes attention."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from autosearch.diffusion.macs import count_macs

ROWS, HEADS, QUERIES, KEYS, WIDTH = 2, 3, 7, 11, 8
PRODUCTS = 2 * ROWS * HEADS * QUERIES * KEYS * WIDTH
BACKENDS = [kind for kind in SDPBackend.__members__.values() if kind is not SDPBackend.ERROR]


def attention(device: str, **options: object) -> Tensor:
    query = torch.zeros(ROWS, HEADS, QUERIES, WIDTH, device=device)
    key, value = torch.zeros(2, ROWS, HEADS, KEYS, WIDTH, device=device)
    return functional.scaled_dot_product_attention(query, key, value, **options)


def runs(backend: SDPBackend) -> bool:
    with sdpa_kernel(backend):
        try:
            attention("cpu")
        except RuntimeError:
            return False
    return True


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_its_two_products(device: str, causal: bool) -> None:
    with count_macs() as counter:
        attention(device, is_causal=causal)
    assert counter.total == PRODUCTS


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda kind: kind.name)
def test_every_kernel_of_this_processor_counts_the_same(backend: SDPBackend) -> None:
    if not runs(backend):
        pytest.skip(f"this processor has no {backend.name} kernel")
    with count_macs() as counter, sdpa_kernel(backend):
        attention("cpu")
    assert counter.total == PRODUCTS


def test_heads_that_share_keys_count_as_many() -> None:
    query, key = torch.zeros(2, 6, 5, 4), torch.zeros(2, 3, 7, 4)
    with count_macs() as counter:
        functional.scaled_dot_product_attention(query, key, key, enable_gqa=True)
    assert counter.total == 2 * 2 * 6 * 5 * 7 * 4


def test_at_least_two_kernels_are_tried() -> None:
    assert sum(map(runs, BACKENDS)) >= 2


def test_what_was_counted_is_computed() -> None:
    """The counted run gives the numbers of the plain one, up to the rounding of the slow path."""
    generator = torch.Generator().manual_seed(0)
    module = nn.MultiheadAttention(24, 3, batch_first=True).eval()
    x = torch.randn(2, 9, 24, generator=generator)
    with torch.no_grad(), count_macs() as counter:
        counted = module(x, x, x, need_weights=False)[0]
    with torch.no_grad():
        torch.testing.assert_close(counted, module(x, x, x, need_weights=False)[0])
    assert counter.total == 2 * 9 * (4 * 24 * 24) + 2 * 2 * 9 * 9 * 24


def test_modules_are_counted_by_their_path() -> None:
    network = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 6))
    with count_macs() as counter:
        network(torch.zeros(3, 4))
    assert counter.of("Sequential.0") == 3 * 4 * 5
    assert counter.of("Sequential.1") == 3 * 5 * 6
    assert counter.of("Sequential.2") == 0
    assert counter.total == 3 * (4 * 5 + 5 * 6)
