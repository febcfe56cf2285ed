"""Typed genes, whatever family they belong to."""

import numpy as np
import pytest

from autosearch.spaces.genes import Gene, Log, OneOf, Real, Whole

GENES = [
    Whole(2, 5),
    Whole(3, 3),
    Real(-1.0, 0.5),
    Real(0.25, 0.25),
    Real(1.0, 4.0, factor=0.3),
    Log(1e-3, 10.0),
    OneOf(("a", "b")),
    OneOf("c"),
]


@pytest.mark.parametrize("gene", GENES, ids=repr)
def test_draws_are_inside_and_vary_where_they_may(gene: Gene) -> None:
    rng = np.random.default_rng(0)
    values = [gene.clip(gene.draw(rng)) for _ in range(60)]
    assert values == [gene.clip(value) for value in values]
    assert (len(set(values)) > 1) == gene.varies


@pytest.mark.parametrize(
    ("gene", "value", "nearest"),
    [
        (Whole(2, 5), 9, 5),
        (Whole(2, 5), 1.0, 2),
        (Real(0.0, 1.0), -3, 0.0),
        (Real(0.0, 1.0), 0.12345, 0.123),
        (Real(0.0, 1.0, digits=4), 0.12345, 0.1235),
        (OneOf(("a", "b")), "z", "a"),
        (Log(1e-3, 1.0), 123, 1.0),
        (Log(1e-3, 1.0), 0.0123456, 0.01235),
        (OneOf((False, True)), 1.0, True),
    ],
)
def test_the_nearest_value_is_of_the_genes_own_type(gene: Gene, value: object, nearest: object):
    clipped = gene.clip(value)
    assert clipped == nearest
    assert type(clipped) is type(nearest)


def test_the_ends_of_a_dimension_are_values() -> None:
    for gene in (Whole(2, 5), Real(-1.0, 0.5), Log(0.01, 100.0)):
        parameter = gene.parameter("x")
        ends = [gene.clip(gene.from_box(end)) for end in (parameter.low, parameter.high)]
        assert ends == [gene.low, gene.high]
    assert OneOf(("a", "b")).parameter("x").choices == ("a", "b")


@pytest.mark.parametrize("gene", GENES, ids=repr)
def test_moves_are_clipped_into_the_gene_and_lead_elsewhere_where_they_may(gene: Gene) -> None:
    rng = np.random.default_rng(0)
    start = gene.clip(gene.draw(rng))
    moved = [gene.clip(gene.move(start, rng)) for _ in range(60)]
    assert moved == [gene.clip(value) for value in moved]
    assert any(value != start for value in moved) == gene.varies


def test_a_whole_number_moves_by_its_reach_at_most_and_never_by_nothing() -> None:
    rng = np.random.default_rng(0)
    for reach in (1, 3):
        moves = {Whole(0, 9, reach=reach).move(5, rng) - 5 for _ in range(100)}
        assert moves == {k for k in range(-reach, reach + 1) if k}


def test_the_widths_of_moves_are_their_standard_deviations() -> None:
    rng = np.random.default_rng(0)
    for gene, width in ((Real(0.0, 4.0), 0.6), (Real(0.0, 4.0, width=0.1), 0.1)):
        assert np.std([gene.move(2.0, rng) for _ in range(2000)]) == pytest.approx(width, rel=0.1)
    for gene, width in ((Real(0.0, 4.0, factor=0.3), 0.3), (Log(1e-3, 9.0, factor=0.5), 0.5)):
        factors = np.log([gene.move(2.0, rng) / 2.0 for _ in range(2000)])
        assert np.std(factors) == pytest.approx(width, rel=0.1)
        assert np.mean(factors) == pytest.approx(0.0, abs=0.05)


def test_a_choice_moves_to_another_one_unless_it_may_stay() -> None:
    rng = np.random.default_rng(0)
    assert {OneOf("abc").move("a", rng) for _ in range(40)} == {"b", "c"}
    assert {OneOf("abc", stays=True).move("a", rng) for _ in range(40)} == {"a", "b", "c"}


def test_draws_of_a_logarithm_are_even_in_it() -> None:
    rng = np.random.default_rng(0)
    drawn = np.log10([Log(1e-4, 1.0).draw(rng) for _ in range(2000)])
    counts = np.histogram(drawn, bins=4, range=(-4, 0))[0]
    assert counts == pytest.approx([500] * 4, rel=0.15)
    assert Log(1e-4, 1.0).parameter("x").name == "log_x"
