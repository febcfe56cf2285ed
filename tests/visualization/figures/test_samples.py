"""Grids of images."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from autosearch.errors import UserError
from autosearch.visualization.figures.samples import (
    Panel,
    image_grid,
    plot_panels,
    plot_scatter,
    save_grid,
)


def numbered(count: int, size: int) -> np.ndarray:
    """Images whose only colour is their index."""
    values = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return np.broadcast_to(values, (count, 3, size, size)).copy()


def test_classes_stand_in_rows() -> None:
    grid = image_grid(numbered(6, 48), classes=3)
    assert grid.shape == (3 * 50 + 2, 2 * 50 + 2, 3)
    shown = [
        [int(grid[10 + 50 * row, 10 + 50 * column, 0]) for column in (0, 1)] for row in range(3)
    ]
    assert shown == [[0, 3], [1, 4], [2, 5]]


def test_a_part_of_a_column_leaves_the_rest_blank() -> None:
    grid = image_grid(numbered(4, 48), classes=3)
    assert grid[10, 60, 0] == 3
    assert (grid[60:, 60:] == 255).all()


@pytest.mark.parametrize("classes", [0, 1000])
def test_without_rows_for_each_class_the_grid_is_about_square(classes: int) -> None:
    grid = image_grid(numbered(5, 64), classes=classes)
    assert grid.shape == (2 * 66 + 2, 3 * 66 + 2, 3)
    assert grid[10, 2 * 66 + 10, 0] == 2
    assert grid[66 + 10, 10, 0] == 3


def test_small_images_are_enlarged_without_smoothing() -> None:
    image = np.random.default_rng(0).integers(0, 255, (1, 3, 8, 8), dtype=np.uint8)
    grid = image_grid(image, classes=0)
    assert (grid[2:50:6, 2:50:6] == image[0].transpose(1, 2, 0)).all()
    assert (grid[7:50:6, 7:50:6] == image[0].transpose(1, 2, 0)).all()


def test_a_saved_grid_is_the_grid(tmp_path: Path) -> None:
    grid = image_grid(numbered(4, 8), classes=2)
    save_grid(grid, tmp_path / "grid.png")
    read = matplotlib.image.imread(tmp_path / "grid.png")[..., :3]
    assert (np.round(read * 255).astype(np.uint8) == grid).all()


def test_grids_are_png(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.png"):
        save_grid(image_grid(numbered(1, 8), classes=0), tmp_path / "grid.pdf")


def test_panels_show_their_pictures_pixel_for_pixel(tmp_path: Path) -> None:
    left, right = (
        image_grid(numbered(4, 48), classes=2),
        image_grid(numbered(4, 48) + 90, classes=2),
    )
    plot_panels([Panel("left", left), Panel("a longer title", right)], tmp_path / "two.png")
    read = np.round(matplotlib.image.imread(tmp_path / "two.png")[..., :3] * 255).astype(np.uint8)
    height, width = left.shape[:2]
    assert (read[-height:, :width] == left).all()
    assert (read[-height:, -width:] == right).all()


@pytest.mark.parametrize("dimension", [1, 2, 8])
def test_clouds_of_any_dimension(tmp_path: Path, dimension: int) -> None:
    rows = np.random.default_rng(0).standard_normal((50, dimension))
    plot_scatter([Panel("samples", rows), Panel("reference", rows)], tmp_path / "cloud.png")
    assert (tmp_path / "cloud.png").stat().st_size > 0
