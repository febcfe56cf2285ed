"""``list`` and ``schema``."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer

from autosearch.cli.arguments import JsonOption
from autosearch.cli.output import print_json, print_text
from autosearch.errors import unknown_name
from autosearch.text import align

__all__ = ["KINDS", "catalog", "experiment_schema", "list_", "schema"]


def list_(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="experiments, spaces, objectives, algorithms, baselines, models or loggers",
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """List what there is by name."""
    entries = catalog(kind)
    if as_json:
        print_json(entries)
        return
    lines = align([(entry["name"], entry["summary"]) for entry in entries], lambda *_: True)
    if kind == "baselines":
        from autosearch.diffusion.grids import GRIDS

        lines += ["", "written SOLVER[-GRID][+POLICY...]@STEPS, such as ddim-trailing@5"]
        lines.append("or dpmpp_2m+fora:3@20; settings in brackets may be left out, from the end on")
        lines.append(f"grids: {', '.join(GRIDS)}; without one, a pipeline's scheduler's own")
    print_text("\n".join(lines))


def schema() -> None:
    """Print the JSON schema of an experiment."""
    print_json(experiment_schema())


Entry = dict[str, str]


def _experiments() -> dict[str, str]:
    from autosearch.experiment import shipped_experiments

    return shipped_experiments()


def _registered(package: str) -> Callable[[], dict[str, str]]:
    def entries() -> dict[str, str]:
        registry = import_module(package).REGISTRY
        return {name: cls.summary for name, cls in registry.table().items()}

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


# Plural, as the user writes it.
KINDS: Mapping[str, Callable[[], dict[str, str]]] = {
    "experiments": _experiments,
    "spaces": _registered("autosearch.spaces"),
    "objectives": _registered("autosearch.objectives"),
    "algorithms": _registered("autosearch.algorithms"),
    "baselines": _baselines,
    "models": _registered("autosearch.models"),
    "loggers": _registered("autosearch.integrations.loggers"),
}


def catalog(kind: str) -> list[Entry]:
    """Name and summary of everything of a kind, built-in or of a third party.

    Raises:
        UserError: for an unknown kind.
    """
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS, where="list")
    return [{"name": name, "summary": summary} for name, summary in KINDS[kind]().items()]


def experiment_schema() -> dict[str, Any]:
    """The JSON schema of an experiment file, with the names that are valid here.

    It also allows what the loader reads as a shorthand: a bare name for ``{name: NAME}``, and a
    family of a space without settings.
    """
    from autosearch.experiment import Experiment

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
