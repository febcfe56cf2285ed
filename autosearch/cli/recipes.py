"""``evaluate`` and ``sample``: one recipe at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from autosearch.cli.arguments import DeviceOption, JsonOption, SeedOption
from autosearch.cli.output import check_least, check_output, note, print_result, warn
from autosearch.errors import UserError, unknown_name

if TYPE_CHECKING:
    from autosearch.engine.evaluate import LoadedRecipe, RecipeEvaluation
    from autosearch.models.spec import ModelSpec

__all__ = ["evaluate", "sample"]

RecipeArgument = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A recipe's file, or baseline:SOLVER[-GRID]@STEPS."),
]
ExperimentOption = Annotated[
    str | None, typer.Option("--experiment", help="Take the model of this experiment.")
]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="A model by name (digits by default).")
]


def evaluate(
    *,
    recipe: RecipeArgument,
    experiment: ExperimentOption = None,
    model: ModelOption = None,
    samples: Annotated[int, typer.Option("--samples", help="How many samples.")] = 4000,
    seed: SeedOption = 0,
    objectives: Annotated[
        str | None, typer.Option("--objectives", help="Names with commas between them.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", help="A second recipe, measured on the same noise.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Measure with this many workers.")
    ] = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Measure a recipe, with intervals; with --against also the difference to another."""
    from autosearch.engine.evaluate import RecipeEvaluator, load_recipe, paired

    evaluator = RecipeEvaluator(
        _spec(experiment, model),
        samples=samples,
        seed=seed,
        objectives=None if objectives is None else _names(objectives),
        workers=workers,
        device=_device(device),
    )
    asked = [recipe] if against is None else [recipe, against]
    denoiser, artifact_store = evaluator.model.denoiser, evaluator.artifact_store
    loaded = [load_recipe(text, denoiser, artifact_store) for text in asked]
    _warn_of_weights(loaded)
    evaluations = evaluator.evaluate({one.name: one.resolved for one in loaded})
    first, second = evaluations[0], evaluations[-1]
    data = first.to_dict()
    if against is not None:
        data |= {"against": second.to_dict(), "paired": paired(first, second)}
    shown = [first] if against is None else [first, second]
    print_result(data, lambda data: _table(shown, data.get("paired")), as_json=as_json)


def sample(
    *,
    recipe: RecipeArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.png", help="Where the picture goes.")
    ],
    experiment: ExperimentOption = None,
    model: ModelOption = None,
    count: Annotated[int, typer.Option("-n", help="How many samples.")] = 100,
    seed: SeedOption = 0,
) -> None:
    """Draw samples and save them as one picture."""
    check_least("-n", count, 1)
    check_least("--seed", seed, 0)
    check_output(output)
    if output.suffix.lower() != ".png":
        raise UserError(f"-o {output}: a grid of samples is written as .png; use that suffix")
    from autosearch.diffusion.artifact_store import ArtifactStore
    from autosearch.engine.evaluate import load_recipe
    from autosearch.visualization.sample_grids import save_samples

    loaded_model, artifact_store = _spec(experiment, model).load(), ArtifactStore()
    loaded = load_recipe(recipe, loaded_model.denoiser, artifact_store)
    _warn_of_weights([loaded])
    save_samples(
        loaded_model,
        {recipe: loaded.plan},
        output,
        count=count,
        seed=seed,
        artifact_store=artifact_store,
    )
    fitted = _fitted_text(loaded.resolved.forward_equivalents)
    note(f"{output}: {count} samples in {loaded.plan.nfe} evaluations each{fitted}")


def _spec(experiment: str | None, model: str | None) -> "ModelSpec":
    """Which model: an experiment's, a named one, or the embedded default."""
    if experiment is not None and model is not None:
        raise UserError("--experiment and --model both name a model; give one of them")
    from autosearch.models.spec import ModelSpec

    if experiment is None:
        return ModelSpec(model or "digits")
    from autosearch.engine.problem import model_spec
    from autosearch.experiment import load_experiment

    return model_spec(load_experiment(experiment).model)


def _device(name: str) -> Literal["cpu", "cuda"]:
    devices: dict[str, Literal["cpu", "cuda"]] = {"cpu": "cpu", "cuda": "cuda"}
    if name not in devices:
        raise unknown_name("device", name, devices, where="--device")
    return devices[name]


def _names(text: str) -> list[str]:
    return [name for name in map(str.strip, text.split(",")) if name]


def _warn_of_weights(recipes: "Sequence[LoadedRecipe]") -> None:
    names = [loaded.name for loaded in recipes if not loaded.same_weights]
    if names:
        warn(f"{', '.join(names)}: searched on other weights than this model's; values may differ")


def _fitted_text(forward_equivalents: float) -> str:
    """What fitting a recipe took, to stand after its name."""
    return f", fitted in {forward_equivalents:.0f} forwards" if forward_equivalents else ""


def _teacher_lines(evaluations: "Sequence[RecipeEvaluation]") -> list[str]:
    """The own error of the teacher that recipes were held against, and who is within it."""
    from autosearch.study.teacher import teacher_text, within_text

    teacher = evaluations[0].teacher
    if teacher is None:
        return []
    near = [one.name for one in evaluations if one.within_teacher]
    return [teacher_text(teacher.name, teacher.errors), *within_text(near)]


def _table(evaluations: "Sequence[RecipeEvaluation]", paired: Mapping[str, Any] | None) -> str:
    """Values and, with a second recipe, the differences that count."""
    from autosearch.objectives import half_width
    from autosearch.text import with_error

    first = evaluations[0]
    lines = [one.name + _fitted_text(one.forward_equivalents) for one in evaluations]
    lines += [f"{first.samples} samples, seed {first.seed}, 95% intervals"]
    lines += [*_teacher_lines(evaluations), ""]
    width = max(map(len, first.values))
    for name in first.values:
        cells = []
        for evaluation in evaluations:
            estimate = evaluation.values[name]
            cells.append(
                with_error(estimate.value, half_width(estimate.value, estimate.interval()))
            )
        if paired is not None:
            low, high = paired[name]["ci"]
            difference = paired[name]["difference"]
            half = half_width(difference, (low, high))
            sure = "" if low <= 0 <= high else "  (differs)"
            cells.append(f"difference {with_error(difference, half)}{sure}")
        lines.append(f"{name:<{width}}  " + "  ".join(f"{cell:<18}" for cell in cells).rstrip())
    return "\n".join(lines)
