"""What a logger is told of a run, in this order.

    call                  when
    on_start(watched)     the run begins, or is resumed
    on_result             once for each candidate of a study, in the order of their numbers
    on_validation         once for each candidate measured on fresh noise
    on_end(ending)        the run came to its end or was interrupted and saved, with news
    close(finished)       always, also after an error

A logger is told in a thread of its own and may take its time: a run waits for it at its end
only, and not for long. Its first exception switches it off with a warning. What it was told is kept
beside the study, so that a resumed run goes on from there; after a kill, the last call may come
again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from autosearch.integrations.loggers.final_front import FinalFront
    from autosearch.study.study import Candidate

__all__ = ["Logger", "Numbers", "Watched"]

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Watched:
    """The run that is watched.

    Attributes:
        id: the study's own, the same whenever it is resumed.
        name: the study's name.
        directory: of the study; a logger may keep files of its own there.
        header: what the study's journal begins with: experiment, model, versions.
        next_candidate: the number of the first candidate that the logger has not been told of.
    """

    id: str
    name: str
    directory: Path
    header: Mapping[str, Any]
    next_candidate: int


class Logger:
    """Watches a run. Its settings in an experiment are its keyword-only parameters.

    Raise ``UserError`` from ``__init__`` for what the user has to mend before the run starts, such
    as a missing package; any later exception switches the logger off and nothing else.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    def on_start(self, watched: Watched) -> None:
        """A run begins or is resumed."""

    def on_result(self, candidate: "Candidate", numbers: Numbers) -> None:
        """A candidate has its result, and all with a smaller number had theirs.

        Args:
            candidate: recipe, status, values.
            numbers: what to plot over ``candidate.id``: ``search/fid`` and ``search/fid_error`` of
                each objective, ``cost/...`` of this candidate, ``total/...`` up to it,
                ``hypervolume`` of the search values up to it, an upper value, once its axes are
                fixed, ``feasible``.
        """

    def on_validation(self, candidate: "Candidate", numbers: Numbers) -> None:
        """A candidate was measured on fresh noise.

        Args:
            candidate: the same as in ``on_result``.
            numbers: ``validated/fid``, the ends of its interval ``validated/fid_low`` and
                ``validated/fid_high``, of each objective; ``validated/samples`` and ``/seed``.
        """

    def on_end(self, ending: "FinalFront") -> None:
        """The run is over: its front as a table and as a picture."""

    def close(self, *, finished: bool) -> None:
        """Let go of everything.

        Args:
            finished: whether nothing is left to do; else the study may be resumed.
        """
