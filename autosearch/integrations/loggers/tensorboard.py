"""TensorBoard: event files in the study's folder."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autosearch.errors import missing
from autosearch.integrations.loggers.base import Logger, Numbers, Watched
from autosearch.study.study import Candidate

if TYPE_CHECKING:
    from autosearch.integrations.loggers.final_front import FinalFront

__all__ = ["TensorBoard"]


class TensorBoard(Logger):
    """Scalars by candidate, the front as text and picture: ``tensorboard --logdir runs``.

    Args:
        folder: where the event files go; ``tensorboard`` in the study's folder by default.
    """

    name = "tensorboard"
    summary = "TensorBoard: event files in the study's folder, or another"

    def __init__(self, *, folder: str | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            what = "loggers.tensorboard"
            raise missing(error, install="autosearch[loggers]", what=what) from None
        # The module has no types of its own.
        self._make: Any = SummaryWriter
        self._folder = folder
        self._writer: Any

    def on_start(self, watched: Watched) -> None:
        folder = watched.directory / "tensorboard" if self._folder is None else Path(self._folder)
        # What a killed process wrote and did not know to be written is hidden.
        again = watched.next_candidate or None
        self._writer = self._make(str(folder), purge_step=again)
        if again is None:
            text = json.dumps(watched.header["experiment"], indent=1)
            self._writer.add_text("experiment", _preformatted(text), 0)

    def on_result(self, candidate: Candidate, numbers: Numbers) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, candidate.id)
        self._writer.flush()

    on_validation = on_result

    def on_end(self, ending: "FinalFront") -> None:
        self._writer.add_text("front", _preformatted(ending.text), ending.step)
        if ending.picture is not None:
            from matplotlib.image import imread

            image = np.round(imread(ending.picture)[..., :3] * 255).astype(np.uint8)
            self._writer.add_image("front", image, ending.step, dataformats="HWC")
        self._writer.flush()

    def close(self, *, finished: bool) -> None:
        self._writer.close()


def _preformatted(text: str) -> str:
    """As Markdown that keeps lines and columns."""
    return "\n".join(f"    {line}" for line in text.splitlines())
