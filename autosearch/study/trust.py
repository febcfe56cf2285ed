"""What of a study is obeyed: its journal may come from a stranger.

A journal says what was measured, and that is data. It also says where a model lies, who was told,
and which cluster did the work. Such words are obeyed only where the command line says so, by
``--trust`` or by giving them again: nobody else's study opens files, connects or writes.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autosearch.errors import UserError, shortened
from autosearch.experiment import Experiment, change_experiment, load_experiment
from autosearch.study.study import Study

__all__ = ["left_out", "resumed_experiment", "trusted_experiment"]

# What of a study's experiment may be another than in its search: no result depends on it.
_ANEW = ("loggers", "model", "workers")
# Parts of an experiment that may name places, and settings that do by their names.
_PARTS = ("model", "space", "algorithm")
_NAMES = {
    "cache",
    "directory",
    "file",
    "folder",
    "inception",
    "path",
    "processor",
    "prompts",
    "reference",
    "uri",
    "url",
    "weights",
}


def trusted_experiment(
    study: Study, overrides: Sequence[str] = (), *, trust: bool, where: Path
) -> Experiment:
    """A study's experiment without loggers and cluster, unless they are asked for.

    Args:
        study: the study.
        overrides: ``key=value`` changes from the command line.
        trust: whether what the journal says is obeyed.
        where: the study's directory, for messages.

    Raises:
        UserError: where the journal names files or addresses and nobody says to obey them, and for
            changes that would make another study of it.
    """
    own = study.experiment
    for override in overrides:
        if override.partition("=")[0].partition(".")[0] not in _ANEW:
            raise UserError(
                f"--set {override!r}: of a study only {', '.join(_ANEW)} can be given anew"
            )
    if trust:
        return change_experiment(own, overrides, where="--set")
    plain = own.model_copy(
        update={"loggers": [], "workers": own.workers.model_copy(update={"address": None})}
    )
    made = change_experiment(plain, overrides, where="--set")
    asked = [override.partition("=")[0] for override in overrides]
    for key, place in _locations(made):
        if not any(key == one or key.startswith(f"{one}.") for one in asked):
            raise _refusal(where, key, place)
    return made


def resumed_experiment(
    name: str, study: Study, overrides: Sequence[str], *, trust: bool, where: Path
) -> tuple[Experiment, list[str], list[str]]:
    """The experiment with which a study goes on; what was changed at its first run stays changed.

    Args:
        name: of the experiment, or its file, as the command line gives it.
        study: the study that goes on.
        overrides: ``key=value`` changes from the command line.
        trust: whether the journal's own changes may name places.
        where: the study's directory, for messages.

    Returns:
        The experiment, all changes that made it, and what of the journal is not obeyed, in one
        line each.

    Raises:
        UserError: for a study of another experiment, or where the journal's changes name files and
            nobody says to obey them.
    """
    first = study.header.overrides
    changes = [*first, *overrides]
    try:
        made = load_experiment(name, changes)
    except UserError:
        if not first:
            raise
        load_experiment(name, overrides)  # is it at fault itself?
        raise UserError(
            f"{where}: holds a study of another experiment: what was changed for it "
            f"({', '.join(first)}) does not fit {name}; give the directory of this experiment's"
        ) from None
    if trust:
        return made, changes, []
    asked = load_experiment(name, overrides)
    known = dict(_locations(asked))
    for key, place in _locations(made):
        if known.get(key) != place:
            raise _refusal(where, key, place)
    kept = made.model_copy(
        update={
            "loggers": asked.loggers,
            "workers": made.workers.model_copy(update={"address": asked.workers.address}),
        }
    )
    kept_changes = [one for one in changes if one in overrides or not _outward(one)]
    return kept, kept_changes, left_out(made, kept, where=where)


def left_out(journaled: Experiment, obeyed: Experiment, *, where: Path) -> list[str]:
    """What of a journal is not obeyed, in one line each, and how to ask for it."""
    notes = []
    if journaled.loggers and not obeyed.loggers:
        names = ", ".join(one["name"] for one in journaled.loggers)
        notes.append(
            f"{where}: loggers ({names}) are not told: only the journal names them; --trust obeys "
            f"it, or give --set loggers=[{names}]"
        )
    address = journaled.workers.address
    if address is not None and obeyed.workers.address is None:
        notes.append(
            f"{where}: the cluster at {address} is not joined: only the journal names it; --trust "
            f"obeys it, or give --set workers.address={address}"
        )
    return notes


def _outward(override: str) -> bool:
    return override.partition("=")[0] in ("loggers", "workers.address")


def _refusal(where: Path, key: str, place: str) -> UserError:
    return UserError(
        f"{where}: its journal names {key} {shortened(place)}; if you trust the study add --trust, "
        f"or give --set {key}=..."
    )


def _locations(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Settings that name a file, a folder or an address, by their dotted keys."""
    data = experiment.to_dict()
    for part in _PARTS:
        yield from _texts(data[part], part)


def _texts(value: Any, key: str, *, named: bool = False) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            inside = named or key == "model.rewards"
            yield from _texts(inner, f"{key}.{name}", named=inside or str(name) in _NAMES)
    elif isinstance(value, list):
        # Prompts in a list are what to draw.
        for inner in value if not key.endswith(".prompts") else ():
            yield from _texts(inner, key)
    elif isinstance(value, str) and (named or _is_location(value)):
        yield key, value


def _is_location(text: str) -> bool:
    return "/" in text or "\\" in text or text.startswith(("~", "."))
