"""Named recipes of the literature: ``SOLVER[-GRID][+POLICY...]@STEPS``."""

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from autosearch.baselines.base import RecipeData, Rule, Solver
from autosearch.baselines.policies import POLICIES
from autosearch.baselines.solvers import SOLVERS
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.grids import OwnGrids, SamplingGrid, grids_for, sampling_grid
from autosearch.diffusion.plan.plan import model_key
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.settings import setting_values, with_settings
from autosearch.diffusion.sites.sites import blocks
from autosearch.errors import UserError, unknown_name
from autosearch.recipe import Recipe
from autosearch.registry import Parts

__all__ = ["BaselineName", "baseline", "baseline_names", "check_policies", "split_name", "usage"]

# Where a solver's own grid belongs to another family of models.
_DEFAULT_GRID = {"edm": "edm", "flow": "flow"}
_NAME = re.compile(
    r"(?P<solver>[a-z0-9_]+)(?:-(?P<grid>[a-z][a-z0-9_.:-]*))?"
    r"(?P<policies>(?:\+[^+@]*)*)@(?P<steps>-?[0-9]{1,9})"
)


class BaselineName(NamedTuple):
    """The parts of a name; ``grid`` is None for the solver's own."""

    solver: str
    grid: str | None
    steps: int
    policies: tuple[str, ...] = ()


def split_name(name: str) -> BaselineName:
    """The parts of ``SOLVER[-GRID][+POLICY...]@STEPS``."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise UserError(
            f"baseline {name!r}: write SOLVER[-GRID]@STEPS, such as ddim-trailing@5, or with a "
            "policy, such as ddim+fora:3@20"
        )
    solver, steps = match["solver"], int(match["steps"])
    SOLVERS.find(solver)
    if steps < 1:
        raise UserError(f"baseline {name!r}: the step count is {steps}; it must be at least 1")
    if steps > 1000:
        raise UserError(f"baseline {name!r}: the step count is {steps}; it must be at most 1000")
    return BaselineName(solver, match["grid"], steps, tuple(match["policies"].split("+")[1:]))


def baseline(name: str, denoiser: Denoiser) -> Recipe:
    """The recipe of a baseline on a model.

    Raises:
        UserError: for unknown names, impossible step counts, grids of another family or of a
            solver that has its own times, and policies whose settings are wrong or that the model
            has no sites for.
    """
    parts = split_name(name)
    solver, schedule = SOLVERS[parts.solver], denoiser.schedule
    made = _grid(parts, denoiser)
    layout = solver.lay_out(schedule, made.points, made.end)
    scale = denoiser.guidance_scale
    guided = {} if scale is None else {"guidance": {"rule": "cfg", "scale": scale}}
    steps = [
        {"time": time, "log_snr": log_snr, **guided, **choices}
        for (time, log_snr), choices in zip(layout.points, layout.choices, strict=True)
    ]
    data = {
        "version": 1,
        "model": model_key(denoiser).model_dump(),
        "start": {"scale": _start_scale(solver, made, schedule)},
        "steps": steps,
        "end": layout.end,
    }
    _apply_policies(data, parts.policies, denoiser, where=f"baseline {name!r}")
    return Recipe.from_dict(data, where=f"baseline {name}")


def baseline_names(
    schedule: NoiseSchedule,
    *,
    solvers: Sequence[str] | None = None,
    own_grids: OwnGrids | None = None,
    usual: bool = True,
) -> list[str]:
    """Every ``SOLVER[-GRID]`` of a model; the grid that a bare solver stands on has no name.

    Args:
        schedule: of the model.
        solvers: which; by default this project's own, only the usual ones if so asked.
        own_grids: of the model's scheduler, where it came with one; see :class:`OwnGrids`.
        usual: only the solvers and grids that a search tries which asks for all baselines, not
            those that have to be named.
    """
    names = []
    grids = grids_for(schedule, usual=usual)
    if solvers is None:
        solvers = [name for name, solver in SOLVERS.own.items() if solver.usual or not usual]
    for solver in solvers:
        names.append(solver)
        if SOLVERS[solver].own_points is not None:
            continue
        own = _own_grid(SOLVERS[solver], schedule) if own_grids is None else None
        names += [f"{solver}-{name}" for name in grids if name != own]
    return names


def _grid(parts: BaselineName, denoiser: Denoiser) -> SamplingGrid:
    """The grid of a name, or of the model's own scheduler, or of the solver's publication."""
    solver, name, count = SOLVERS[parts.solver], parts.grid, parts.steps
    if solver.own_points is not None:
        if name is not None:
            raise UserError(
                f"baseline solver {parts.solver!r} is made for times of its own; leave grid "
                f"{name!r} out"
            )
        return solver.own_points(denoiser.schedule, count)
    if name is None and denoiser.own_grids is not None:
        return denoiser.own_grids(solver.scheduler, count)
    schedule = denoiser.schedule
    name = name or _own_grid(solver, schedule)
    return sampling_grid(name, schedule, count, whole=solver.whole_times)


def _start_scale(
    solver: Solver, made: SamplingGrid, schedule: NoiseSchedule
) -> Literal["unit", "sigma", "scheduler"]:
    if schedule.family == "edm":  # which diffusers starts from the marginal
        return "scheduler"
    return made.start_in_sigma if solver.start == "sigma" else solver.start


def _own_grid(solver: Solver, schedule: NoiseSchedule) -> str:
    return _DEFAULT_GRID.get(schedule.family, solver.grid)


def _apply_policies(
    data: RecipeData, texts: Sequence[str], denoiser: Denoiser, *, where: str
) -> None:
    """Change a recipe's data as policies say, in the order given.

    Raises:
        UserError: for unknown policies, wrong settings, two that decide the same, or a model that
            has no blocks.
    """
    policies = check_policies(texts, where=where, known=(POLICIES,))
    if policies and not blocks(denoiser.sites):
        raise UserError(f"{where}: this model has no blocks to leave out; leave the policy out")
    for policy, values in policies:
        policy.apply(data, denoiser, *values)


def check_policies(
    texts: Sequence[str], *, where: str, known: Sequence[Parts[Any]]
) -> list[tuple[Rule, tuple[Any, ...]]]:
    """The rules of a list and their values.

    Args:
        texts: each ``NAME[:SETTING...]``.
        where: the place, for messages.
        known: the kinds of rules that there may be.

    Raises:
        UserError: as :func:`baseline`, but for the model.
    """
    rules: list[tuple[Rule, tuple[Any, ...]]] = []
    owners: dict[str, str] = {}
    for text in texts:
        name, *given = text.split(":")
        rule = _find_rule(name, known, where=where)
        if rule.owns in owners:
            raise UserError(
                f"{where}: {owners[rule.owns]} and {name} decide the same; leave one of them out"
            )
        owners[rule.owns] = name
        rules.append((rule, _values(name, rule, given, where=where)))
    return rules


def _find_rule(name: str, known: Sequence[Parts[Any]], *, where: str) -> Rule:
    for parts in known:
        if name in parts:
            rule: Rule = parts.find(name, where=where)
            return rule
    names = [name for parts in known for name in parts.names]
    raise unknown_name("policy", name, names, where=where)


def usage(name: str, rule: Rule) -> str:
    """A rule with its settings, as a name gives them: ``fora[:interval=3]``."""
    if rule.path:
        return f"{name}:FILE"
    more = ":..." if rule.repeated else ""
    return with_settings(name, rule.settings) + more


def _values(name: str, rule: Rule, given: Sequence[str], *, where: str) -> tuple[Any, ...]:
    if rule.path:
        path = ":".join(given)
        if not path:
            raise UserError(f"{where}: {name} takes a file; write {usage(name, rule)}")
        return (path,)
    settings = rule.settings
    if rule.repeated and given:
        settings = (*settings[:-1], *[settings[-1]] * (len(given) - len(settings) + 1))
    return setting_values(name, settings, given, where=where, written=usage(name, rule))
