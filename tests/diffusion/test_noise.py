"""Noise and labels are functions of their key, whatever else is drawn."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from autosearch.diffusion.noise import Stream, draw, labels

SHAPE = (2, 3)
SNAPSHOT_START = [-1.431463, 1.6707169, -0.40272397, 0.31175056, -0.6429545, -1.3523424]
SNAPSHOT_STEP = [0.5390061, -0.82105136, 0.68461794]


@given(indices=st.lists(st.integers(0, 2**40), min_size=1, max_size=12), data=st.data())
@settings(max_examples=40, deadline=None)
def test_independent_of_partition_and_order(indices: list[int], data: st.DataObject) -> None:
    whole = draw(3, Stream.SEARCH, indices, SHAPE, k=2)
    assert whole.shape == (len(indices), *SHAPE)
    cut = data.draw(st.integers(0, len(indices)))
    parts = [draw(3, Stream.SEARCH, part, SHAPE, k=2) for part in (indices[:cut], indices[cut:])]
    assert torch.equal(torch.cat(parts), whole)
    order = data.draw(st.permutations(range(len(indices))))
    shuffled = draw(3, Stream.SEARCH, [indices[i] for i in order], SHAPE, k=2)
    assert torch.equal(shuffled, whole[list(order)])


def test_a_longer_sample_starts_with_no_shorter_one_of_another_k() -> None:
    """Counters of different draws are far apart: no run of numbers occurs in two draws."""
    long = draw(0, Stream.SEARCH, [0], (100_000,))[0]
    for index, k in ((1, 0), (0, 1), (1, 1)):
        other = draw(0, Stream.SEARCH, [index], (4,), k=k)[0]
        assert not np.isin(other.numpy(), long.numpy()).all()


def test_every_part_of_the_key_counts() -> None:
    draws = {
        (seed, stream, index, k): tuple(draw(seed, stream, [index], (4,), k=k)[0].tolist())
        for seed in (0, 1, 2**40, -1)
        for stream in Stream
        for index in (0, 1, 7, 2**33)
        for k in (0, 1, 2)
    }
    assert len(set(draws.values())) == len(draws) == 4 * 6 * 4 * 3


def test_streams_keep_their_numbers() -> None:
    assert {stream.name: int(stream) for stream in Stream} == {
        "SEARCH": 1,
        "VALIDATION": 2,
        "EVALUATE": 3,
        "REFERENCE": 4,
        "CALIBRATION": 5,
        "RECOVERY": 6,
    }


def test_single_precision_on_the_cpu_whatever_the_default() -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        noise = draw(0, Stream.SEARCH, [0, 1], SHAPE)
    finally:
        torch.set_default_dtype(before)
    assert noise.dtype == torch.float32
    assert noise.device.type == "cpu"


def test_global_generators_neither_matter_nor_move() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = draw(5, Stream.SEARCH, [3], SHAPE)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(draw(5, Stream.SEARCH, [3], SHAPE), first)


def test_standard_normal() -> None:
    noise = draw(1, Stream.VALIDATION, range(400), (64,)).double().numpy()
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    # Across samples too: neighbouring indices and steps are uncorrelated.
    assert abs(np.mean(noise[1:] * noise[:-1])) < 0.03
    later = draw(1, Stream.VALIDATION, range(400), (64,), k=1).double().numpy()
    assert abs(np.mean(noise * later)) < 0.03
    other = draw(1, Stream.SEARCH, range(400), (64,)).double().numpy()
    assert abs(np.mean(noise * other)) < 0.03


def test_snapshot_of_the_generator() -> None:
    """A change of generator would make every stored study incomparable."""
    got = draw(0, Stream.SEARCH, [0, 1], (3,)).flatten().tolist()
    assert got == pytest.approx(SNAPSHOT_START, abs=1e-6)
    got = draw(12, Stream.VALIDATION, [1000], (3,), k=4).flatten().tolist()
    assert got == pytest.approx(SNAPSHOT_STEP, abs=1e-6)


@given(classes=st.integers(1, 20), blocks=st.integers(1, 4), rounds=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_labels_are_balanced_in_every_block(classes: int, blocks: int, rounds: int) -> None:
    size = classes * rounds
    for block in range(blocks):
        found = labels(range(block * size, (block + 1) * size), classes)
        assert found.dtype == torch.int64
        assert torch.bincount(found, minlength=classes).tolist() == [rounds] * classes


def test_labels_do_not_depend_on_the_batch() -> None:
    assert labels([7, 3, 12], 10).tolist() == [7, 3, 2]
