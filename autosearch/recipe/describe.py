"""The steps of a recipe in words: as a table, one by one, and what lists of sigmas cannot hold."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from autosearch.diffusion.solvers.forms import find_form
from autosearch.recipe import CorrectorStep, Guidance, Recipe, Relaxation, Step
from autosearch.recipe.schema import owned_fields
from autosearch.text import number

__all__ = [
    "corrector_text",
    "is_plain",
    "lost_choices",
    "runs_again",
    "step_table",
    "step_text",
    "summary",
]


def step_table(recipe: Recipe) -> tuple[list[str], list[list[str]]]:
    """Headings and a row for each step; empty columns are left out.

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


def _left_out(step: Step) -> str:
    counts = Counter(action.partition(":")[0] for action in step.sites.values())
    parts = [f"{kind} {count}" for kind, count in sorted(counts.items())]
    if step.gate is not None:
        parts.append(f"gate at {step.gate.probe} below {number(step.gate.threshold)}")
    return ", ".join(parts)


_EVALUATED = {"zero_x0": "data taken to be 0", "average_x0": "data taken to be their mean"}
_ALWAYS = ("time", "order")
# What a step says of each of its choices; nothing of the usual ones.
_COLUMNS: Mapping[str, Callable[[Step], str]] = {
    "time": lambda step: number(step.time),
    "log-SNR": lambda step: "" if step.log_snr is None else number(step.log_snr),
    "order": lambda step: str(step.order),
    "form": lambda step: "" if is_plain(step) else step.form,
    "prediction": lambda step: "" if step.prediction == "data" else step.prediction,
    "evaluates": lambda step: _EVALUATED.get(step.evaluate, ""),
    "relaxation": lambda step: _relaxation_text(step.relaxation),
    "from": lambda step: "" if step.choice.begins == -1 else f"{-step.choice.begins} points back",
    "points": lambda step: "" if step.points is None else str(step.points),
    "corrector": lambda step: corrector_text(step.corrector),
    "eta": lambda step: f"{step.eta:g}" if step.eta else "",
    "clip": lambda step: "" if step.clip is None else f"{step.clip:g}",
    "guidance": lambda step: ", ".join(map(_guidance_text, step.guidance)),
    "sites left out": _left_out,
}
# Those that stand in a sentence, some after their name.
_SAID = {"evaluates": "", "relaxation": "", "from": "from ", "points": "points ", "corrector": ""}
_SAID |= {"eta": "eta ", "clip": "clip ", "guidance": ""}
# What Heun's samplers do after each step but the last; that of flows works in their time.
_HEUN = CorrectorStep(kind="implicit", order=2, prediction="noise", form="deis_rho")
_FLOW_HEUN = CorrectorStep(kind="implicit", order=2, form="velocity")


def is_plain(step: Step) -> bool:
    """Whether a step is DDIM whatever its form."""
    return step.order == 1 and find_form(step.form).plain


def step_text(step: Step) -> str:
    """A step in a few words: order, prediction and form, then whatever is unusual."""
    words = ["1" if is_plain(step) else f"{step.order} {step.prediction} {step.form}"]
    facts = {name: _COLUMNS[name](step) for name in _SAID}
    return ", ".join(words + [_SAID[name] + text for name, text in facts.items() if text])


def corrector_text(corrector: str | CorrectorStep) -> str:
    """A corrector in a few words; an empty text where there is none."""
    if isinstance(corrector, str):
        return "" if corrector == "none" else f"{corrector} corrector"
    words = [f"{corrector.kind} corrector"]
    if corrector.order is not None:
        words.append(f"of order {corrector.order}")
    words += [word for word in (corrector.prediction, corrector.form) if word]
    if corrector.start_point is not None:
        words.append(f"from {-corrector.start_point} points back")
    if corrector.points is not None:
        words.append(f"points {corrector.points}")
    return " ".join([*words, _relaxation_text(corrector.relaxation)]).rstrip()


def lost_choices(steps: Sequence[Step], *, flow: bool = False) -> list[str]:
    """The choices of a recipe that a list of sigmas with one library's solver cannot express.

    Args:
        steps: the recipe's.
        flow: whether its model is a flow.
    """
    full = [step for step in steps if step.order > 1]
    singlestep = runs_again(steps)
    kinds = {(step.prediction, step.form) for step in full}
    present = {
        "per-step orders": not singlestep and not _usual_orders(steps),
        "per-step predictions and forms": len(kinds) > 1,
        "restarts": not singlestep and any(step.choice.begins < -1 for step in steps),
        "points": any(step.points is not None for step in full),
        "forms that no library has": not all(find_form(step.form).published for step in steps),
        "correctors": not _usual_correctors(steps, flow=flow),
    }
    fields = Step.model_fields
    for name, mark in owned_fields(Step).items():
        default = fields[name].get_default(call_default_factory=True)
        present[mark.lost] = any(getattr(step, name) != default for step in steps)
    return [name for name, lost in present.items() if name and lost]


def runs_again(steps: Sequence[Step]) -> bool:
    """Whether this is a singlestep solver: runs of orders 1, 2, ... from one state each.

    All runs are of one length but the last two, which are shorter.
    """
    if any(step.choice.begins != -step.order for step in steps):
        return False
    runs = [0]
    for step in steps:
        if step.order == 1:
            runs.append(0)
        if step.order != runs[-1] + 1:
            return False
        runs[-1] += 1
    lengths, longest = runs[1:], max(runs)
    return longest > 1 and set(lengths[:-2]) <= {longest}


def _usual_orders(steps: Sequence[Step]) -> bool:
    """Whether orders are one multistep solver's.

    Without history the first step is of order 1 in every library, the second of order 2, and so
    on. Most lower the last step to order 1; many come down to it by one each.
    """
    full, count = max(step.order for step in steps), len(steps)
    rising = [min(full, i + 1) for i in range(count)]
    lowered = [*rising[:-1], 1]
    falling = [min(order, count - i) for i, order in enumerate(rising)]
    orders = [min(step.order, i + 1) for i, step in enumerate(steps)]
    return orders in (rising, lowered, falling)


def _usual_correctors(steps: Sequence[Step], *, flow: bool) -> bool:
    """Whether there is none, or those of UniPC or of Heun's method; that of the last is not run."""
    corrected = steps[:-1]
    if all(step.corrector == "none" for step in corrected):
        return True
    unipc = all(
        step.corrector == "pseudo" and step.form in ("unipc_bh1", "unipc_bh2") for step in corrected
    )
    heuns = (_HEUN, _FLOW_HEUN) if flow else (_HEUN,)
    return unipc or any(
        all(step.corrector == heun and step.order == 1 for step in corrected) for heun in heuns
    )


def _guidance_text(rule: Guidance) -> str:
    text = f"{rule.rule} {rule.scale:g}"
    if rule.rule == "pag":
        text += f" at strength {rule.strength:g}"
    chosen = {
        site: heads if heads == "all" else " ".join(map(str, heads))
        for site, heads in rule.heads.items()
    }
    inside = "; ".join(f"{site} {what}" for site, what in sorted((chosen | rule.sites).items()))
    return f"{text} ({inside})" if inside else text


def _relaxation_text(relaxation: Relaxation | None) -> str:
    if relaxation is None:
        return ""
    if relaxation.kind.startswith("unipc"):
        return f"relaxed as {relaxation.kind}"
    return f"relaxed by {relaxation.kind} {relaxation.coefficient:g}"
