"""What a study needs before its first candidate, made once and kept in its journal."""

from collections.abc import Sequence

from autosearch.baselines.fitted.names import check_name
from autosearch.diffusion.plan.latency_table import LatencyTable
from autosearch.engine.reference import measure_reference
from autosearch.engine.session import Session
from autosearch.engine.warm_start import load_warm_start
from autosearch.engine.workers.base import FitTask
from autosearch.engine.workers.collect import Stopped, run_tasks
from autosearch.engine.workers.timing import measure_latency_table
from autosearch.errors import UserError
from autosearch.recipe import Recipe

__all__ = ["prepare_latency", "set_up"]


def set_up(session: Session) -> None:
    """The reference, latencies, fitted baselines and starts, once per study."""
    prepare_latency(session)
    _prepare_fits(session)
    _prepare_warm_start(session)
    if session.study.reference is not None:
        return
    with session.phase("reference"):
        shipped = session.problem.model.figures.get("reference")
        if shipped:
            costs = {"forward_equivalents": 0.0, "budgeted": 0.0}
            record = {**shipped, "source": "shipped", **costs}
        else:
            record = measure_reference(
                session.problem, session.executor, stopping=session.interrupted
            )
        session.write({"type": "reference", **record})


def prepare_latency(session: Session) -> None:
    """Predict latencies from the study's table, measured now where there is none."""
    if not session.problem.latencies:
        return
    if not session.study.latency_table:
        with session.phase("latency"):
            table, spent = measure_latency_table(session.executor, session.problem.model)
            session.write(
                {
                    "type": "latency_table",
                    "table": table.to_dict(),
                    "forward_equivalents": spent,
                    "budgeted": spent,
                }
            )
    session.problem.use_latency_table(LatencyTable.from_dict(session.study.latency_table))


def _prepare_fits(session: Session) -> None:
    """Fit the baselines that ask for it to the model, unless the study has them already."""
    todo = [name for name in session.problem.fitted_names if name not in session.study.fits]
    if todo:
        with session.phase("fits"):
            # What names share is measured for the first of them; then it is there for the others.
            first = list({check_name(n).shared or n: n for n in reversed(todo)}.values())[::-1]
            _fit(session, first)
            _fit(session, [name for name in todo if name not in first])
    failed = {name: fit for name, fit in session.study.fits.items() if fit["recipe"] is None}
    for name, fit in failed.items():
        raise UserError(f"baselines: {name!r} cannot be fitted: {fit['reason']}; leave it out")
    session.problem.use_fits(
        {
            name: Recipe.from_dict(fit["recipe"], where=f"fit of {name}")
            for name, fit in session.study.fits.items()
        }
    )


def _fit(session: Session, names: Sequence[str]) -> None:
    seed = session.problem.experiment.seed
    tasks = [FitTask(number, name, seed) for number, name in enumerate(names)]
    done = 0
    # A fit may take minutes: none waits behind another when asked to stop.
    for outcome in run_tasks(session.executor, tasks, ahead=1, stopping=session.interrupted):
        session.write(
            {
                "type": "fit",
                "name": names[outcome.id],
                "recipe": outcome.recipe,
                "reason": outcome.reason,
                "forward_equivalents": outcome.forward_equivalents,
                "budgeted": outcome.nominal,
            }
        )
        done += 1
    if done < len(names):
        raise Stopped


def _prepare_warm_start(session: Session) -> None:
    """Load what the search starts from, unless the study has it already."""
    init = session.problem.experiment.init
    if session.study.warm_start is None and init:
        loaded = load_warm_start(init, session.journal.directory)
        recipes = {name: recipe.to_dict() for name, recipe in loaded.items()}
        session.write({"type": "starts", "recipes": recipes})
    session.problem.use_warm_start(
        {
            name: Recipe.from_dict(data, where=f"init: {name}")
            for name, data in (session.study.warm_start or {}).items()
        }
    )
