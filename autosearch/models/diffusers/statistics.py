"""What real images are like: a folder of them, or statistics saved earlier.

``python -m autosearch.models.diffusers.statistics FOLDER -o FILE.safetensors`` saves them.
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autosearch.errors import UserError
from autosearch.models.diffusers.inception import Inception

__all__ = ["ImageFolder", "folder_statistics", "read_statistics", "save_statistics"]

# Arrays by the names that objectives read.
Statistics = Mapping[str, NDArray[np.generic]]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_KEYS = ("features", "features_mean", "features_cov")
# Names of mean and covariance in the files of other tools.
_OTHERS = {"mu": "features_mean", "sigma": "features_cov"}
_LEAST = 2

_log = logging.getLogger(__name__)


class ImageFolder(Mapping[str, NDArray[np.generic]]):
    """The reference of a model: read, or computed from a folder, when it is first looked at.

    Workers never look, so that only the driver pays for it.

    Args:
        place: a folder of images, or a file of statistics; None for no reference.
        inception: the network of the features.
    """

    def __init__(self, place: str | None, inception: Inception) -> None:
        self._place = place
        self._inception = inception

    def __getitem__(self, key: str) -> NDArray[np.generic]:
        return self._statistics[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._statistics)

    def __len__(self) -> int:
        return len(self._statistics)

    @cached_property
    def _statistics(self) -> Statistics:
        if not self._place:
            return {}
        path = Path(self._place)
        return folder_statistics(path, self._inception) if path.is_dir() else read_statistics(path)


def folder_statistics(folder: Path, inception: Inception) -> Statistics:
    """Compute ``features`` [N, 2048] of a folder's images, their mean and covariance.

    Images keep their own size; Inception makes them 299 x 299 itself.

    Raises:
        UserError: for a folder with fewer than two images, or one that cannot be read.
    """
    paths = sorted(_images(folder))
    if len(paths) < _LEAST:
        raise UserError(
            f"model.reference: {folder} holds {len(paths)} images ({', '.join(_SUFFIXES)}); "
            f"at least {_LEAST} are needed"
        )
    rows = np.concatenate([inception.rows(_image(path))["features"] for path in paths])
    exact = rows.astype(np.float64)
    return {
        "features": rows,
        "features_mean": exact.mean(axis=0),
        "features_cov": np.cov(exact, rowvar=False),
    }


def _images(folder: Path) -> Iterator[Path]:
    """The images below a folder, linked folders followed once; hidden files and folders are none.

    What has no suffix of an image is left out, and counted in a warning.
    """
    seen, others = set[Path](), 0
    for place, folders, names in os.walk(folder, followlinks=True):
        here = Path(place).resolve()
        folders[:] = [name for name in folders if not name.startswith(".") and here not in seen]
        if here in seen:
            continue
        seen.add(here)
        shown = [name for name in names if not name.startswith(".")]
        images = [name for name in shown if Path(name).suffix.lower() in _SUFFIXES]
        others += len(shown) - len(images)
        yield from (Path(place, name) for name in images)
    if others:
        _log.warning("model.reference: %s: %d files are no images, and left out", folder, others)


def read_statistics(path: Path) -> Statistics:
    """Read statistics from safetensors, or npz (``mu`` and ``sigma``, as other tools save them).

    Raises:
        UserError: for a file that is missing, of another kind, or without them.
    """
    where = f"model.reference: {path}"
    if not path.is_file():
        raise UserError(f"{where}: no such folder or file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            arrays = dict(load_file(path))
        else:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
    except Exception as error:  # of several libraries, for whatever the file holds
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{where}: cannot read statistics: {reason}") from None
    renamed = {_OTHERS.get(name, name): values for name, values in arrays.items()}
    statistics = {name: renamed[name] for name in _KEYS if name in renamed}
    if not {"features_mean", "features_cov"} <= statistics.keys():
        raise UserError(f"{where}: holds no mean and covariance (mu and sigma); save them again")
    return statistics


def save_statistics(statistics: Statistics, path: Path) -> None:
    """Write statistics as safetensors."""
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(values) for name, values in statistics.items()}, path)


def _image(path: Path) -> Tensor:
    """Read an image as uint8 RGB [1, 3, H, W]."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except OSError:
        raise UserError(f"model.reference: {path} is no image that can be read") from None
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]


def main() -> int:
    """Save the statistics of a folder."""
    parser = argparse.ArgumentParser(description="Save the statistics of a folder of images.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.safetensors")
    parser.add_argument("--inception", help="weights of torch-fidelity's Inception")
    given = parser.parse_args()
    try:
        statistics = folder_statistics(given.folder, Inception(given.inception))
        save_statistics(statistics, given.output)
    except UserError as error:
        print(f"autosearch: {error}", file=sys.stderr)
        return 2
    print(f"{given.output}: statistics of {len(statistics['features'])} images", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
