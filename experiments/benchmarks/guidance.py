"""The tables of docs/results/guidance.md: searched guidance beside constant scales and layers.

``python -m autosearch.experiments.benchmarks.guidance front runs/guidance``
``python -m autosearch.experiments.benchmarks.guidance heads runs/greedy-* runs/evolution-*``

Rivals are fixed ways to guide the study's own base recipe: classifier-free guidance and CFG++ at
every step at each scale of a fine sweep, and perturbed attention in each layer at each of a few
scales, at every step or, beside head sets, at theirs. They are screened on one noise; the best few
by FID of each kind are then measured on fresh noise, beside what the searches found.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autosearch.engine.evaluate import RecipeEvaluation, RecipeEvaluator
from autosearch.engine.problem import model_spec
from autosearch.errors import UserError
from autosearch.objectives import compare
from autosearch.recipe import Recipe
from autosearch.study.front import Front
from autosearch.study.study import Study

__all__ = ["constants", "front_rows", "guided", "head_rows", "whole_layers"]

OBJECTIVES = ("fid", "fd_pixels", "precision", "recall", "is", "class_accuracy")
_SCREEN_SEED = 1_000_003
_FINALISTS = 3
CFG_SCALES = tuple(np.round(np.arange(0.5, 3.01, 0.05), 2).tolist())
CFGPP_SCALES = tuple(np.round(np.arange(0.05, 1.01, 0.05), 2).tolist())
LAYER_SCALES = (-0.3, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.5)

Recipes = Mapping[str, Recipe]


def guided(base: Recipe, rule: Mapping[str, Any], steps: Sequence[int] | None = None) -> Recipe:
    """A recipe with one rule at some of its steps, by default at all."""
    data = base.to_dict()
    for i, step in enumerate(data["steps"]):
        if steps is None or i in steps:
            step["guidance"] = [dict(rule)]
    return Recipe.from_dict(data)


def constants(base: Recipe) -> dict[str, dict[str, Recipe]]:
    """A recipe at constant scales, by kind and then by name; the recipe itself among them."""
    kinds: dict[str, dict[str, Recipe]] = {"constant cfg": {"unguided": base}}
    for rule, kind, scales in (
        ("cfg", "constant cfg", CFG_SCALES),
        ("cfgpp", "constant cfg++", CFGPP_SCALES),
    ):
        kinds.setdefault(kind, {}).update(
            (f"{rule} {scale:g}", guided(base, {"rule": rule, "scale": scale}))
            for scale in scales
            if (rule, scale) != ("cfg", 1.0)
        )
    return kinds


def whole_layers(
    base: Recipe, layers: Sequence[str], steps: Sequence[int] | None = None
) -> dict[str, dict[str, Recipe]]:
    """A recipe with each layer perturbed at each of a few scales, at some of its steps."""
    found = {
        f"pag {layer} {scale:g}": guided(
            base, {"rule": "pag", "scale": scale, "heads": {layer: "all"}}, steps
        )
        for layer in layers
        for scale in LAYER_SCALES
    }
    return {"whole layer": found}


def front_rows(
    directory: Path, *, samples: int, seeds: Sequence[int], screening: int, workers: int | None
) -> list[dict[str, Any]]:
    """A row for each rival and each recipe of a study's front, all on the same fresh noise.

    Each has the best of the front at no more forwards beside it, with the paired difference.
    """
    study = Study.read(directory)
    front = _front(study)
    screen = _evaluator(study, screening, _SCREEN_SEED, workers)
    base = _base(study)
    rivals = constants(base) | whole_layers(base, list(screen.model.denoiser.heads))
    finalists = _finalists(screen, rivals)
    finalists["constant cfg"]["unguided"] = base
    rows = []
    for seed in seeds:
        measure = _evaluator(study, samples, seed, workers)
        names = dict.fromkeys(front, "searched") | {
            name: kind for kind, own in finalists.items() for name in own
        }
        recipes = dict(front)
        for own in finalists.values():
            recipes |= own
        found = {e.name: e for e in measure.evaluate(recipes)}
        rows += [
            _row(found[name], kind, seed, [found[other] for other in front])
            for name, kind in names.items()
        ]
    return rows


def head_rows(
    directories: Sequence[Path],
    *,
    samples: int,
    seeds: Sequence[int],
    screening: int,
    workers: int | None,
) -> list[dict[str, Any]]:
    """A row for each study of head sets and seed: its best set against the best whole layer.

    Layers are perturbed at the steps at which the first study's best recipe is guided.
    """
    studies = {path.name: Study.read(path) for path in directories}
    first = next(iter(studies.values()))
    best = {name: _best(study) for name, study in studies.items()}
    example = next(iter(best.values()))
    steps = [i for i, step in enumerate(example.steps) if step.guidance]
    screen = _evaluator(first, screening, _SCREEN_SEED, workers)
    rivals = whole_layers(_base(first), list(screen.model.denoiser.heads), steps)
    layers = _finalists(screen, rivals)["whole layer"]
    rows = []
    for seed in seeds:
        found = {
            e.name: e
            for e in _evaluator(first, samples, seed, workers).evaluate({**layers, **best})
        }
        layer = min((found[name] for name in layers), key=_fid)
        for name, study in studies.items():
            row = _row(found[name], name, seed, [layer])
            spent = Front.of(study).spending["forward_equivalents"]
            rows.append({**row, "heads": _heads(best[name]), "forward_equivalents": spent})
        rows.append(_row(layer, "whole layer", seed, [layer]))
    return rows


def _front(study: Study) -> dict[str, Recipe]:
    return {f"#{point.id}": point.recipe for point in Front.of(study).front}


def _best(study: Study) -> Recipe:
    """The recipe that the search itself liked best, by its first objective."""
    front = Front.of(study)
    axis = front.axes[0]
    return min(front.points, key=lambda p: axis.signed(p.search[axis.name].value)).recipe


def _base(study: Study) -> Recipe:
    """The first named recipe of a study, which its guidance is built on."""
    named = [c for _, c in sorted(study.candidates.items()) if c.kind == "baseline"]
    if not named:
        raise UserError(f"{study.header.name}: has no baseline, whose guidance could be swept")
    return study.recipe(named[0])


def _evaluator(study: Study, samples: int, seed: int, workers: int | None) -> RecipeEvaluator:
    return RecipeEvaluator(
        model_spec(study.experiment.model),
        samples=samples,
        seed=seed,
        objectives=[*OBJECTIVES, "forwards"],
        workers=workers,
    )


def _finalists(
    screen: RecipeEvaluator, rivals: Mapping[str, Recipes]
) -> dict[str, dict[str, Recipe]]:
    """The best few rivals of each kind."""
    chosen = {}
    for kind, recipes in rivals.items():
        sys.stderr.write(f"screening {len(recipes)} of {kind}\n")
        ranked = sorted(screen.evaluate(recipes), key=_fid)
        chosen[kind] = {e.name: e.recipe for e in ranked[:_FINALISTS]}
    return chosen


def _fid(found: RecipeEvaluation) -> float:
    return found.values["fid"].value


def _row(
    found: RecipeEvaluation, kind: str, seed: int, others: Sequence[RecipeEvaluation]
) -> dict[str, Any]:
    """Values with their intervals, and the paired difference to the best that costs no more."""
    forwards = found.values["forwards"].value
    cheap = [e for e in others if e.values["forwards"].value <= forwards]
    row: dict[str, Any] = {"kind": kind, "name": found.name, "seed": seed, "forwards": forwards}
    for name in OBJECTIVES:
        estimate = found.values[name]
        row[name] = {"value": estimate.value, "ci": list(estimate.interval())}
    if cheap:
        best = min(cheap, key=_fid)
        difference, interval = compare(found.values["fid"], best.values["fid"])
        row |= {"against": best.name, "difference": difference, "difference_ci": list(interval)}
    return row


def _heads(recipe: Recipe) -> list[str]:
    """The perturbed heads of a recipe's last guided step."""
    rules = [rule for step in recipe.steps for rule in step.guidance if rule.rule == "pag"]
    chosen = rules[-1].heads if rules else {}
    return [f"{site}:{head}" for site, heads in chosen.items() for head in heads]


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["what", "recipe", "seed", "forwards", "fid (95%)", *OBJECTIVES[1:], "fid against"]
    return "\n".join(map(_line, [head, ["---"] * len(head), *map(_cells, rows)]))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Mapping[str, Any]) -> list[str]:
    low, high = row["fid"]["ci"]
    cells = [
        row["kind"],
        row["name"],
        str(row["seed"]),
        f"{row['forwards']:g}",
        f"{row['fid']['value']:.4f} ± {(high - low) / 2:.4f}",
        *(f"{row[name]['value']:.3f}" for name in OBJECTIVES[1:]),
    ]
    if "against" not in row or row["against"] == row["name"]:
        return [*cells, ""]
    low, high = row["difference_ci"]
    return [*cells, f"{row['against']}: {row['difference']:+.4f} ({low:+.4f} to {high:+.4f})"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compare searched guidance with fixed ones.")
    parser.add_argument("what", choices=["front", "heads"])
    parser.add_argument("directories", type=Path, nargs="+")
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--screening", type=int, default=400, help="samples for each rival")
    parser.add_argument("--workers", type=int, default=2, help="0 for this process alone")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    given = {
        "samples": options.samples,
        "seeds": options.seeds,
        "screening": options.screening,
        "workers": options.workers or None,
    }
    if options.what == "heads":
        rows = head_rows(options.directories, **given)
    elif len(options.directories) == 1:
        rows = front_rows(options.directories[0], **given)
    else:
        parser.error("front: give one study")
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(_markdown(rows) + "\n")


if __name__ == "__main__":
    main()
