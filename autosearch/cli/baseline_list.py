"""The page of all baselines: solvers by kind, grids by family, policies and fits by field."""

import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from autosearch.baselines import POLICIES, SOLVERS, Solver
from autosearch.baselines.base import Rule
from autosearch.baselines.fitted import FITS, Fit
from autosearch.baselines.names import usage
from autosearch.diffusion.grids import GRIDS, grids_for
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.errors import UserError

__all__ = ["baselines_text", "grid_names", "solver_kind"]

# A width at which lines are still easy to read, and the least, which headings fit.
_WIDEST, _NARROWEST = 100, 72
# Where a name is longer, all of its heading stand on lines of their own.
_LONGEST = 22
_INDENT = 6
# The grid of most solvers, which is not said of each.
_USUAL_GRID = "linspace-ms"
# A step count that every solver has: enough for its steps to be of full order.
_STEPS = 6

_KINDS = (
    "one-step solvers",
    "multistep solvers: earlier evaluations, one new one a step",
    "predictor-corrector solvers: each step corrected, still one evaluation",
    "singlestep solvers: short runs that start again from their first state",
    "solvers with two evaluations a step",
    "solvers with an analytic first step, which costs no evaluation",
    "stochastic solvers",
)
_ONE, _MULTI, _CORRECTED, _SINGLE, _TWO, _ANALYTIC, _NOISY = _KINDS

_GRIDS = "grids: -NAME after a solver"
_FAMILIES: Mapping[str, NoiseSchedule] = {
    "betas": VariancePreserving("linear"),
    "EDM": EDM(),
    "flows": RectifiedFlow(),
}
# By the field that a rule decides; a rule of another field is of the last kind.
_POLICIES = {
    "sites": "policies: what steps reuse or forecast",
    "gate": "policies: what each sample decides for itself",
    "pruned": "policies: blocks that go",
    "": "policies: others",
}
_FITS = {
    "time": "fits (they measure the model): times",
    "sites": "fits: what steps leave out",
    "pruned": "fits: blocks that go, and what makes up for them",
    "weights": "fits: blocks that go, and what makes up for them",
    "": "fits: how a solver steps",
}
_USE = (
    "write SOLVER[-GRID][+POLICY or +FIT...]@STEPS, such as ddim-trailing@5 or "
    "dpmpp_2m+fora:3@20; settings in brackets may be left out, from the end on"
)
_OWN_GRID = (
    "without a grid: that of a pipeline's own scheduler, else the solver's own, which is "
    f"{_USUAL_GRID} where it names no other"
)


class _Line(NamedTuple):
    """An entry of the page: by what it is found, how it is shown, and in one sentence."""

    name: str
    shown: str
    summary: str


def baselines_text(names: Iterable[str] | None = None, *, word: str | None = None) -> str:
    """The page, or what of it has certain names.

    Args:
        names: of solvers, ``+policies`` and ``+fits``; all of them by default.
        word: what the user looks for; grids with it in their names are shown, too.
    """
    width = min(max(shutil.get_terminal_size().columns, _NARROWEST), _WIDEST)
    kept = None if names is None else set(names)
    blocks = [
        [heading, *_table(found, width)]
        for heading, lines in _sections().items()
        if (found := [line for line in lines if kept is None or line.name in kept])
    ]
    if grids := grid_names(word or ""):
        rows = [_Line("", family, ", ".join(of)) for family, of in _by_family(grids).items()]
        blocks.insert(_grids_place(blocks), [_GRIDS, *_table(rows, width)])
    if word is None:
        blocks.append([*textwrap.wrap(_USE, width), *textwrap.wrap(_OWN_GRID, width)])
        blocks.append(["autosearch list baselines WORD shows what has a word in it"])
    return "\n\n".join("\n".join(block) for block in blocks)


def grid_names(word: str = "") -> list[str]:
    """The names of grids that have a word in them."""
    return [name for name in GRIDS if word.lower().removeprefix("-") in name]


def solver_kind(solver: Solver) -> str:
    """The heading that a solver stands under, by what its steps choose."""
    if solver.stochastic:
        return _NOISY
    try:
        steps = solver.steps(_STEPS)
    except UserError:  # published for other step counts
        steps = []
    correctors = [step["corrector"] for step in steps if step.get("corrector", "none") != "none"]
    if steps and steps[0].get("evaluate", "network") != "network":
        return _ANALYTIC
    if any(_kind_of(corrector) == "implicit" for corrector in correctors):
        return _TWO
    if correctors:
        return _CORRECTED
    if solver.run > 1:
        return _SINGLE
    return _MULTI if solver.order > 1 or any(s.get("order", 1) > 1 for s in steps) else _ONE


def _kind_of(corrector: str | Mapping[str, object]) -> object:
    return corrector if isinstance(corrector, str) else corrector.get("kind")


def _sections() -> dict[str, list[_Line]]:
    """The entries under each heading."""
    sections: dict[str, list[_Line]] = {heading: [] for heading in _KINDS}
    for name, solver in SOLVERS.items():
        own = "" if solver.grid == _USUAL_GRID else f"; own grid {solver.grid}"
        summary = f"{solver.summary}{own}"
        sections[solver_kind(solver)].append(_Line(name, name, summary))
    for headings, rules in ((_POLICIES, POLICIES), (_FITS, FITS)):
        sections |= {heading: [] for heading in headings.values()}
        for name, rule in rules.items():
            sections[_heading(rule, headings)].append(
                _Line(f"+{name}", f"+{usage(name, rule)}", rule.summary)
            )
    return sections


def _heading(rule: Rule, headings: Mapping[str, str]) -> str:
    owns = "sites" if isinstance(rule, Fit) and rule.sites else ""
    return headings.get(rule.owns, headings[owns])


def _by_family(names: Sequence[str]) -> dict[str, list[str]]:
    """The grids of each family of schedules, where it has any of them."""
    found = {
        family: [name for name in grids_for(schedule) if name in names]
        for family, schedule in _FAMILIES.items()
    }
    return {family: grids for family, grids in found.items() if grids}


def _grids_place(blocks: Sequence[Sequence[str]]) -> int:
    """After the solvers."""
    return sum(block[0] in _KINDS for block in blocks)


def _table(lines: Sequence[_Line], width: int) -> list[str]:
    """Names and summaries side by side or, of long names, below one another; all wrapped."""
    longest = max(len(line.shown) for line in lines)
    beside = longest <= _LONGEST
    indent = 2 + longest + 2 if beside else _INDENT
    rows = []
    for line in lines:
        text = textwrap.wrap(
            line.summary, width - indent, break_long_words=False, break_on_hyphens=False
        )
        first, *more = _folded(line.shown, width - _INDENT)
        first = f"  {first}"
        if beside and text:
            first = f"{first:<{indent}}{text.pop(0)}"
        rows += [first, *(" " * indent + part for part in (*more, *text))]
    return rows


def _folded(usage: str, width: int) -> list[str]:
    """A name in lines that break before a setting's bracket."""
    lines = [""]
    for part in re.split(r"(?=\[)", usage):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return lines
