"""Typed genes, whatever family they belong to."""

import numpy as np
import pytest

from autosearch.spaces.genes import Gene, OneOf, Real, Whole

GENES = [Whole(2, 5), Whole(3, 3), Real(-1.0, 0.5), Real(0.25, 0.25), OneOf(("a", "b")), OneOf("c")]


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
        (OneOf((False, True)), 1.0, True),
    ],
)
def test_the_nearest_value_is_of_the_genes_own_type(gene: Gene, value: object, nearest: object):
    clipped = gene.clip(value)
    assert clipped == nearest
    assert type(clipped) is type(nearest)


def test_the_ends_of_a_dimension_are_values() -> None:
    for gene in (Whole(2, 5), Real(-1.0, 0.5)):
        parameter = gene.parameter("x")
        ends = [gene.clip(gene.from_box(end)) for end in (parameter.low, parameter.high)]
        assert ends == [gene.low, gene.high]
    assert OneOf(("a", "b")).parameter("x").choices == ("a", "b")
