"""The steps of a recipe as a table: what differs from the plainest step, in words."""

from collections import Counter
from collections.abc import Callable, Mapping

from autosearch.front_view import number
from autosearch.recipe import Guidance, Recipe, Step

__all__ = ["step_table", "summary"]

_DEFAULTS = Step(time=0)


def step_table(recipe: Recipe) -> tuple[list[str], list[list[str]]]:
    """Headings and a row for each step; columns in which nothing is said are left out.

    Times are what the network is given, in the model's own unit.
    """
    shown = {name: [describe(step) for step in recipe.steps] for name, describe in _COLUMNS.items()}
    kept = {name: cells for name, cells in shown.items() if name in _ALWAYS or any(cells)}
    rows = [[str(i + 1), *(cells[i] for cells in kept.values())] for i in range(len(recipe.steps))]
    return ["step", *kept], rows


def summary(recipe: Recipe) -> str:
    """The recipe in one sentence, for whoever does not see its picture."""
    steps = recipe.steps
    times = ", ".join(number(step.time) for step in steps)
    orders = ", ".join(str(step.order) for step in steps)
    text = f"{len(steps)} steps at times {times}, of orders {orders}"
    rules = sorted({rule.rule for step in steps for rule in step.guidance})
    if rules:
        text += f", guided by {', '.join(rules)}"
    outs = sum(bool(step.sites or step.gate) for step in steps)
    if outs:
        text += f"; {outs} of the steps leave something out"
    if recipe.pruned:
        text += f"; {len(recipe.pruned)} sites pruned"
    return text


def _form(step: Step) -> str:
    if step.order == 1:
        return ""
    relaxed = f", {step.relaxation.kind}" if step.relaxation is not None else ""
    return f"{step.form}{relaxed}"


def _prediction(step: Step) -> str:
    return "" if step.prediction == _DEFAULTS.prediction else step.prediction


def _start(step: Step) -> str:
    return "" if step.start_point == -1 else f"{-step.start_point} points back"


def _corrector(step: Step) -> str:
    kind = step.corrector if isinstance(step.corrector, str) else step.corrector.kind
    return "" if kind == "none" else kind


def _evaluate(step: Step) -> str:
    return "" if step.evaluate == "network" else step.evaluate


def _guidance(step: Step) -> str:
    return " + ".join(map(_rule, step.guidance))


def _rule(rule: Guidance) -> str:
    text = f"{rule.rule} {number(rule.scale)}"
    if rule.heads:
        text += f" ({_heads(rule.heads)}"
        text += f", strength {number(rule.strength)})" if rule.strength != 1 else ")"
    return text


def _heads(heads: Mapping[str, list[int] | str]) -> str:
    named = (f"{site}:{_listed(chosen)}" for site, chosen in heads.items())
    return " ".join(named)


def _listed(chosen: list[int] | str) -> str:
    return chosen if isinstance(chosen, str) else ",".join(map(str, chosen))


def _left_out(step: Step) -> str:
    found = Counter(action.partition(":")[0] for action in step.sites.values())
    parts = [f"{kind} {count}" for kind, count in sorted(found.items())]
    if step.gate is not None:
        parts.append(f"gate at {step.gate.probe} below {number(step.gate.threshold)}")
    return ", ".join(parts)


def _noise(step: Step) -> str:
    return number(step.eta) if step.eta else ""


_ALWAYS = ("time", "order")
_COLUMNS: Mapping[str, Callable[[Step], str]] = {
    "time": lambda step: number(step.time),
    "log-SNR": lambda step: "" if step.log_snr is None else number(step.log_snr),
    "order": lambda step: str(step.order),
    "form": _form,
    "prediction": _prediction,
    "from": _start,
    "corrector": _corrector,
    "evaluates": _evaluate,
    "eta": _noise,
    "guidance": _guidance,
    "sites left out": _left_out,
}
