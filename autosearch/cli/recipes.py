"""``evaluate`` and ``sample``: one recipe at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from autosearch.cli.output import check_output, note, print_json, print_text, warn
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
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the noise.")]


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
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a recipe, with intervals; with --against also the difference to another."""
    from autosearch.engine.evaluate import RecipeEvaluator, load_recipe, paired

    evaluator = RecipeEvaluator(
        _spec(experiment, model),
        samples=samples,
        seed=seed,
        objectives=_names(objectives),
        workers=workers,
        device=_device(device),
    )
    asked = [recipe] if against is None else [recipe, against]
    loaded = [load_recipe(text, evaluator.model.denoiser) for text in asked]
    _warn_of_weights(loaded)
    found = evaluator.evaluate({one.name: one.recipe for one in loaded})
    first, second = found[0], found[-1]
    data = first.to_dict()
    if against is not None:
        data |= {"against": second.to_dict(), "paired": paired(first, second)}
    if as_json:
        print_json(data)
    else:
        print_text(_table(first, None if against is None else second, data.get("paired", {})))


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
    if count < 1:
        raise UserError(f"-n {count}: draw at least 1 sample")
    if seed < 0:
        raise UserError(f"--seed: {seed} is below 0; use 0 or more")
    check_output(output)
    if output.suffix.lower() != ".png":
        raise UserError(f"-o {output}: a grid of samples is written as .png; use that suffix")
    from autosearch.engine.evaluate import load_recipe
    from autosearch.visualization.sample_grids import save_samples

    loaded_model = _spec(experiment, model).load()
    loaded = load_recipe(recipe, loaded_model.denoiser)
    _warn_of_weights([loaded])
    save_samples(loaded_model, {recipe: loaded.plan}, output, count=count, seed=seed)
    note(f"{output}: {count} samples in {loaded.plan.nfe} evaluations each")


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


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip()]


def _warn_of_weights(recipes: "Sequence[LoadedRecipe]") -> None:
    names = [loaded.name for loaded in recipes if not loaded.same_weights]
    if names:
        warn(f"{', '.join(names)}: searched on other weights than this model's; values may differ")


def _table(
    first: "RecipeEvaluation", second: "RecipeEvaluation | None", paired: dict[str, Any]
) -> str:
    """Values and, with a second recipe, the differences that count."""
    from autosearch.text import with_error

    evaluations = [first] if second is None else [first, second]
    lines = [f"{evaluation.name}" for evaluation in evaluations]
    lines += [f"{first.samples} samples, seed {first.seed}, 95% intervals", ""]
    width = max(map(len, first.values))
    for name in first.values:
        cells = [_cell(*_value(evaluation, name)) for evaluation in evaluations]
        if second is not None:
            low, high = paired[name]["ci"]
            difference = paired[name]["difference"]
            sure = "" if low <= 0 <= high else "  (differs)"
            cells.append(f"difference {with_error(difference, (high - low) / 2)}{sure}")
        lines.append(f"{name:<{width}}  " + "  ".join(f"{cell:<18}" for cell in cells).rstrip())
    return "\n".join(lines)


def _value(evaluation: "RecipeEvaluation", name: str) -> tuple[float, float]:
    low, high = evaluation.values[name].interval()
    return evaluation.values[name].value, (high - low) / 2


def _cell(value: float, half: float) -> str:
    from autosearch.text import with_error

    return with_error(value, half)
