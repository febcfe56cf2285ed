"""Local models: exact where what they model is what they take it for."""

import numpy as np
import pytest

from autosearch.algorithms.local_models import QuadraticModel, ResidualModel, draw_near


def results(size: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, and residuals that are linear in them; the least value is not zero."""
    rng = np.random.default_rng(seed)
    points = 0.1 * rng.standard_normal((count, size))
    slopes = rng.standard_normal((size, 30))
    return points, points @ slopes + 0.3 * rng.standard_normal(30), slopes


@pytest.mark.parametrize("size", [2, 5])
def test_residuals_lead_to_the_least_value_in_one_step(size: int) -> None:
    points, residuals, slopes = results(size, size + 6, 0)
    radius, values = 0.1, (residuals**2).sum(axis=1)
    start = int(values.argmin())
    model = ResidualModel(points, residuals, np.zeros(len(points)), middle=start, radius=radius)
    assert model.values(points[start][None])[0] == pytest.approx(values[start])
    least = model.least(np.random.default_rng(1))
    offset = residuals[0] - points[0] @ slopes
    best = np.linalg.lstsq(slopes.T, -offset, rcond=None)[0]
    assert np.abs(best - points[start]).max() < 2 * radius  # as far as a step may go
    reached = ((least @ slopes + offset) ** 2).sum()
    least_of_all = ((best @ slopes + offset) ** 2).sum()
    assert reached - least_of_all < 0.25 * (values[start] - least_of_all)
    # As good as the best of many draws is at least what is chosen.
    drawn = draw_near(points[start], radius, np.random.default_rng(1), 128)
    assert model.values(least[None])[0] <= model.values(drawn).min() + 1e-12


def test_values_are_told_apart_by_a_quadratic_once_there_are_enough() -> None:
    rng = np.random.default_rng(2)
    points = 0.2 * rng.standard_normal((40, 3))
    values = ((points - 0.1) ** 2).sum(axis=1)
    start = int(values.argmin())
    model = QuadraticModel(points, values, np.zeros(40), middle=start, radius=0.2)
    new = draw_near(points[start], 0.2, rng, 50)
    truth = ((new - 0.1) ** 2).sum(axis=1)
    assert np.corrcoef(model.values(new), truth)[0, 1] > 0.8
    assert model.values(points[start][None])[0] == values[start]


def test_kinds_have_levels_of_their_own_and_share_their_slopes() -> None:
    points, residuals, _ = results(3, 12, 4)
    kinds = np.arange(12) % 2
    shifted = residuals + 5.0 * kinds[:, None]
    plain = ResidualModel(points, residuals, np.zeros(12), middle=0, radius=0.1)
    both = ResidualModel(points, shifted, kinds, middle=0, radius=0.1)
    new = points[0] + 0.02
    assert both.values(new[None])[0] == pytest.approx(plain.values(new[None])[0], rel=0.05)


def test_a_value_that_is_out_of_all_proportion_bends_nothing() -> None:
    rng = np.random.default_rng(5)
    points = 0.2 * rng.standard_normal((30, 2))
    values = ((points - 0.1) ** 2).sum(axis=1)
    values[int(values.argmax())] = 1e12
    start = int(values.argmin())
    model = QuadraticModel(points, values, np.zeros(30), middle=start, radius=0.2)
    new = draw_near(points[start], 0.2, rng, 50)
    assert np.corrcoef(model.values(new), ((new - 0.1) ** 2).sum(axis=1))[0, 1] > 0.9
