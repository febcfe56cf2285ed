"""``evaluate`` and ``sample``: one recipe at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from autosearch.cli.arguments import DeviceOption, JsonOption, SeedOption, SetOption
from autosearch.cli.output import check_least, check_output, note, print_result, warn
from autosearch.errors import UserError, located, unknown_name

if TYPE_CHECKING:
    from autosearch.engine.evaluate import LoadedRecipe, RecipeEvaluation
    from autosearch.experiment import Experiment
    from autosearch.models.spec import ModelSpec

__all__ = ["evaluate", "sample"]

_MODEL = "digits"
_SAMPLES = 4000
# What the commands read of an experiment, and the options that stand for other keys of one.
_READ = {"evaluate": ("model", "objectives", "report", "validation"), "sample": ("model",)}
_OPTIONS = {
    "evaluate": {
        "samples": "--samples",
        "validation": "--samples",
        "objectives": "--objectives",
        "workers": "--workers",
        "seed": "--seed",
    },
    "sample": {"samples": "-n", "seed": "--seed"},
}

RecipeArgument = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A recipe's file, or baseline:SOLVER[-GRID]@STEPS."),
]
ExperimentOption = Annotated[
    str | None, typer.Option("--experiment", help="Take the model and the objectives of this one.")
]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="A model by name (digits by default).")
]


def evaluate(
    *,
    recipe: RecipeArgument,
    experiment: ExperimentOption = None,
    model: ModelOption = None,
    overrides: SetOption = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples", help="How many samples: 4000, or the experiment's validation.samples."
        ),
    ] = None,
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

    _check_overrides("evaluate", overrides or [], experiment)
    named = _experiment(experiment, model, overrides or [])
    count = _SAMPLES if samples is None else samples
    asked_for: dict[str, Any] = {}
    if objectives is not None:
        asked_for = {"objectives": _names(objectives)}
    elif named is not None:
        reported = [name for name in named.report if name not in named.objectives]
        asked_for = {
            "objectives": [*named.objectives, *reported],
            "reported": reported,
            "objectives_from": f"{experiment}: objectives",
        }
    if named is not None and samples is None:
        count = named.validation.samples
        asked_for["samples_from"] = f"{experiment}: validation.samples"
    evaluator = RecipeEvaluator(
        _spec(named, model, overrides or [], source=experiment),
        samples=count,
        seed=seed,
        workers=workers,
        device=_device(device),
        **asked_for,
    )
    asked = [recipe] if against is None else [recipe, against]
    denoiser, artifact_store = evaluator.model.denoiser, evaluator.artifact_store
    if named is None and model is None and not overrides:
        _check_default(asked, denoiser.weights)
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
    overrides: SetOption = None,
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

    _check_overrides("sample", overrides or [], experiment)
    named = _experiment(experiment, model, overrides or [])
    spec = _spec(named, model, overrides or [], source=experiment)
    loaded_model, artifact_store = spec.load(), ArtifactStore()
    if named is None and model is None and not overrides:
        _check_default([recipe], loaded_model.denoiser.weights)
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


def _experiment(
    experiment: str | None, model: str | None, overrides: Sequence[str]
) -> "Experiment | None":
    """The experiment that the command line names, if it does."""
    if experiment is None:
        return None
    if model is not None:
        raise UserError("--experiment and --model both name a model; give one of them")
    from autosearch.experiment import load_experiment

    return load_experiment(experiment, overrides)


def _check_overrides(
    command: Literal["evaluate", "sample"], overrides: Sequence[str], experiment: str | None
) -> None:
    """Refuse changes of keys that a command does not read, which would change nothing.

    Raises:
        UserError: naming what is read, and the option that does what the key does in a search.
    """
    from autosearch.experiment import Experiment

    read = ("model",) if experiment is None else _READ[command]
    for override in overrides:
        key = override.partition("=")[0].partition(".")[0]
        if key in read or (experiment is not None and key not in Experiment.model_fields):
            continue  # the experiment knows better what is wrong with an unknown one
        option = _OPTIONS[command].get(key)
        remedy = f"use {option}" if option else "leave it out"
        if experiment is None:
            remedy = f"without --experiment only the model can be changed; {remedy}"
        else:
            remedy = f"{command} reads {', '.join(read)} of an experiment; {remedy}"
        raise UserError(f"--set {override!r}: {remedy}")


def _spec(
    experiment: "Experiment | None",
    model: str | None,
    overrides: Sequence[str],
    *,
    source: str | None,
) -> "ModelSpec":
    """Which model: the experiment's, a named one, or the default, with changes of its settings.

    It is loaded; ``source`` is what the experiment is called.
    """
    from autosearch.engine.problem import model_spec

    if experiment is not None:
        with located(source or ""):
            return model_spec(experiment.model).loaded()
    from autosearch.experiment import change_settings

    return model_spec(change_settings({"model": model or _MODEL}, overrides)["model"]).loaded()


def _device(name: str) -> Literal["cpu", "cuda"]:
    devices: dict[str, Literal["cpu", "cuda"]] = {"cpu": "cpu", "cuda": "cuda"}
    if name not in devices:
        raise unknown_name("device", name, devices, where="--device")
    return devices[name]


def _names(text: str) -> list[str]:
    return [name for name in map(str.strip, text.split(",")) if name]


def _check_default(recipes: Sequence[str], weights: str) -> None:
    """Refuse a file's recipe that was searched on another model where nobody chose the default.

    Raises:
        UserError: naming the options that choose one.
    """
    from autosearch.recipe import Recipe

    for text in recipes:
        path = Path(text)
        if path.is_file() and Recipe.load(path).model.weights not in (None, weights):
            raise UserError(
                f"{text}: searched on another model than {_MODEL}, which is the default; name its "
                f"own by --experiment or --model (--model {_MODEL} to run it there all the same)"
            )


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
    names = list(dict.fromkeys(name for one in evaluations for name in one.values))
    width = max(map(len, names))
    for name in names:
        cells = []
        for evaluation in evaluations:
            estimate = evaluation.values.get(name)
            cells.append(
                "-"
                if estimate is None
                else with_error(estimate.value, half_width(estimate.value, estimate.interval()))
            )
        if paired is not None and name in paired:
            low, high = paired[name]["ci"]
            difference = paired[name]["difference"]
            half = half_width(difference, (low, high))
            sure = "" if low <= 0 <= high else "  (differs)"
            cells.append(f"difference {with_error(difference, half)}{sure}")
        lines.append(f"{name:<{width}}  " + "  ".join(f"{cell:<18}" for cell in cells).rstrip())
    return "\n".join(lines)
