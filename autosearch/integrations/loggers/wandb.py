"""Weights & Biases: one run for each study, offline unless told otherwise."""

import os
from typing import TYPE_CHECKING, Any, Literal

from autosearch.errors import missing
from autosearch.integrations.loggers.base import Logger, Numbers, Watched
from autosearch.study.study import Candidate

if TYPE_CHECKING:
    from autosearch.integrations.loggers.final_front import FinalFront

__all__ = ["WeightsAndBiases"]

# What all numbers are plotted over; results need not come in the library's own order of steps.
_STEP = "candidate"


class WeightsAndBiases(Logger):
    """Numbers by candidate, the front as a table and as a picture.

    The run has the study's id, so that a resumed study goes on in it. Offline, each process leaves
    a folder under ``DIR/wandb``; ``wandb sync`` of all of them makes one run.

    Args:
        project: the project's name.
        mode: ``online`` needs an account and a network.
        entity: the team; the account's own by default.
        group: of runs, in the project's table.
    """

    name = "wandb"
    summary = "Weights & Biases: a run for each study, offline by default"

    def __init__(
        self,
        *,
        project: str = "autosearch",
        mode: Literal["offline", "online"] = "offline",
        entity: str | None = None,
        group: str | None = None,
    ) -> None:
        # Read when the library is imported: it reports its own faults to its makers.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        try:
            import wandb
        except ImportError as error:
            raise missing(error, install="autosearch[loggers]", what="loggers.wandb") from None
        self._library = wandb
        given = {"project": project, "mode": mode, "entity": entity, "group": group}
        self._settings: dict[str, Any] = given
        self._run: wandb.Run

    def on_start(self, watched: Watched) -> None:
        # What it prepares for sending lies beside the run: a home may not be writable.
        os.environ.setdefault("WANDB_DATA_DIR", str(watched.directory / "wandb"))
        self._run = self._library.init(
            id=watched.id,
            name=watched.name,
            dir=str(watched.directory),
            **self._settings,
            resume="allow" if self._settings["mode"] == "online" else None,
            config={key: watched.header[key] for key in ("experiment", "model_name", "version")},
            # Standard output is the command's, and a run of the caller's own stays as it is.
            settings=self._library.Settings(
                console="off",
                silent=True,
                disable_git=True,
                disable_code=True,
                reinit="create_new",
            ),
        )
        self._run.define_metric("*", step_metric=_STEP)

    def on_result(self, candidate: Candidate, numbers: Numbers) -> None:
        self._run.log({_STEP: candidate.id, **numbers})

    on_validation = on_result

    def on_end(self, ending: "FinalFront") -> None:
        table = self._library.Table(columns=[*ending.columns], data=ending.rows)
        shown = {_STEP: ending.step, "front": table}
        if ending.picture is not None:
            shown["front_picture"] = self._library.Image(str(ending.picture))
        self._run.log(shown)
        self._run.summary.update(ending.numbers)

    def close(self, *, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)
