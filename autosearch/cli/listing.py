"""``list`` and ``schema``."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer

from autosearch.cli.arguments import JsonOption
from autosearch.cli.output import print_json, print_text
from autosearch.errors import UserError, nearest, unknown_name
from autosearch.text import align

__all__ = ["KINDS", "catalog", "experiment_schema", "list_", "schema"]


def list_(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="experiments, spaces, objectives, algorithms, baselines, models, forms, "
            "exports or loggers",
        ),
    ],
    word: Annotated[
        str | None,
        typer.Argument(
            metavar="WORD", help="only what has it in its name or summary, such as karras"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List what there is by name, or what of it has a word in it."""
    entries = catalog(kind, word)
    if as_json:
        print_json(entries)
    elif kind == "baselines":
        from autosearch.cli.baseline_list import baselines_text

        print_text(baselines_text([entry["name"] for entry in entries], word=word))
    else:
        rows = [(entry["name"], entry["summary"]) for entry in entries]
        print_text("\n".join(align(rows, lambda *_: True)))


def schema() -> None:
    """Print the JSON schema of an experiment."""
    print_json(experiment_schema())


Entry = dict[str, str]


def _experiments() -> dict[str, str]:
    from autosearch.experiment import shipped_experiments

    return shipped_experiments()


def _registered(package: str) -> Callable[[], dict[str, str]]:
    def entries() -> dict[str, str]:
        return {name: cls.summary for name, cls in import_module(package).REGISTRY.items()}

    return entries


def _baselines() -> dict[str, str]:
    from autosearch.baselines import POLICIES, SOLVERS
    from autosearch.baselines.fitted import FITS
    from autosearch.baselines.names import usage

    solvers = {name: f"{one.summary}; own grid {one.grid}" for name, one in SOLVERS.items()}
    rules = {
        f"+{name}": f"{one.summary}; written {usage(name, one)}" for name, one in POLICIES.items()
    }
    fits = {
        f"+{name}": f"{one.summary}; measures the model; written {usage(name, one)}"
        for name, one in FITS.items()
    }
    return solvers | rules | fits


def _grids(word: str) -> list[str]:
    from autosearch.cli.baseline_list import grid_names

    return grid_names(word)


def _forms() -> dict[str, str]:
    from autosearch.diffusion.solvers import FORMS

    return {name: form.summary for name, form in FORMS.items()}


def _exports() -> dict[str, str]:
    from autosearch.export import FORMATS

    return {name: form.summary for name, form in FORMATS.items()}


# Plural, as the user writes it.
KINDS: Mapping[str, Callable[[], dict[str, str]]] = {
    "experiments": _experiments,
    "spaces": _registered("autosearch.spaces"),
    "objectives": _registered("autosearch.objectives"),
    "algorithms": _registered("autosearch.algorithms"),
    "baselines": _baselines,
    "models": _registered("autosearch.models"),
    "forms": _forms,
    "exports": _exports,
    "loggers": _registered("autosearch.integrations.loggers"),
}


def catalog(kind: str, word: str | None = None) -> list[Entry]:
    """Name and summary of everything of a kind, built-in or of a third party.

    Args:
        kind: one of :data:`KINDS`.
        word: only what has it in its name or summary, in small or large letters.

    Raises:
        UserError: for an unknown kind, or a word that nothing has.
    """
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS, where="list")
    entries = [{"name": name, "summary": summary} for name, summary in KINDS[kind]().items()]
    if word is None:
        return entries
    found = [entry for entry in entries if any(word.lower() in e.lower() for e in entry.values())]
    grids = _grids(word) if kind == "baselines" else []
    if not found and not grids:
        others = _grids("") if kind == "baselines" else []
        names = [entry["name"].removeprefix("+") for entry in entries] + others
        close = nearest(word.strip("+-"), names)
        hint = f"did you mean {close!r}?" if close else f"autosearch list {kind} shows all"
        raise UserError(f"list {kind}: nothing has {word!r} in its name or summary; {hint}")
    return found


def experiment_schema() -> dict[str, Any]:
    """The JSON schema of an experiment file, with the names that are valid here.

    It also allows what the loader reads as a shorthand: a bare name for ``{name: NAME}``, and a
    family of a space without settings.
    """
    from autosearch.experiment import ALL_BASELINES, Experiment

    schema = Experiment.model_json_schema()
    properties = schema["properties"]
    for key, kind in (("model", "models"), ("algorithm", "algorithms")):
        properties[key] = _named(properties[key], _names(kind))
    family = properties["space"].pop("additionalProperties")
    properties["space"]["additionalProperties"] = {"anyOf": [family, {"type": "null"}]}
    properties["space"]["propertyNames"] = {"enum": _names("spaces")}
    properties["space"]["minProperties"] = 1
    for key in ("objectives", "report"):
        properties[key]["items"] = {"enum": _names("objectives")}
    properties["baselines"]["anyOf"].append({"const": ALL_BASELINES})
    properties["loggers"]["items"] = _named(properties["loggers"]["items"], _names("loggers"))
    properties["constraints"]["propertyNames"] = {"enum": _names("objectives")}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _names(kind: str) -> list[str]:
    return [entry["name"] for entry in catalog(kind)]


def _named(mapping: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """The JSON schema of a setting that is a bare name, or a mapping that has one."""
    name = {"enum": names}
    full = {"type": "object", "properties": {"name": name}, "required": ["name"]}
    kept = {key: value for key, value in mapping.items() if key in ("title", "default")}
    return {**kept, "anyOf": [name, full]}
