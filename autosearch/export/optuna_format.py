"""``optuna``: the whole study, for Optuna's dashboard and its other tools."""

import importlib.util
from collections import Counter

from autosearch.study.study import Study

__all__ = ["write_optuna"]


def write_optuna(study: Study, place: str, name: str | None) -> str:
    """Write the study into a storage of Optuna; the result says how to look at it."""
    # Imported when it is used: it takes a second.
    from autosearch.export.optuna_storage import storage_address
    from autosearch.export.optuna_study import export_study

    made = export_study(study, place, name=name)
    counts = Counter(trial.state.name.lower() for trial in made.get_trials(deepcopy=False))
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    installed = importlib.util.find_spec("optuna_dashboard") is not None
    hint = "" if installed else "pip install 'autosearch[dashboard]', then "
    return (
        f"study {made.study_name!r} with {states or 'no trials'}; "
        f"{hint}optuna-dashboard {storage_address(place)}"
    )
