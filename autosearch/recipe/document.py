"""The recipe as a whole, read from and written to plain data."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from autosearch.errors import UserError, shortened, validated
from autosearch.recipe.artifact import Artifact
from autosearch.recipe.numbers import rounded
from autosearch.recipe.recovery import Recovery
from autosearch.recipe.schema import Strict
from autosearch.recipe.step import LARGEST_LOG_SNR, LogSnr, Step

__all__ = ["ModelKey", "Recipe", "Start", "recipe_data"]

VERSION = 1


class ModelKey(Strict):
    """Which models a recipe runs on: same family, schedule and prediction."""

    family: str
    schedule: str
    prediction: Literal["noise", "data", "v", "flow"]
    weights: str | None = None


class Start(Strict):
    """How the first state is made from unit noise.

    ``unit``: standard deviation 1. ``sigma``: the first step's sigma. ``scheduler``:
    ``sqrt(alpha**2 + sigma**2)`` there, the marginal's for data of unit variance.
    """

    scale: Literal["unit", "sigma", "scheduler"] = "unit"


class Recipe(Strict):
    """A way to sample from a model; see the fields' own pages for their meaning.

    Attributes:
        pruned: sites that no step runs, in any branch: the same as ``skip`` at every step.
        artifacts: files of tensors that it needs, by what they are to it: ``weights`` are the
            network's, where they are not its own.
        recovery: how weights are trained for what is pruned, where no artifact holds them yet.
    """

    version: Literal[1]
    model: ModelKey
    start: Start = Start()
    steps: Annotated[list[Step], Field(min_length=1, max_length=10_000)]
    end: Literal["clean"] | LogSnr = "clean"
    pruned: list[str] = Field(default_factory=list)
    artifacts: dict[str, Artifact] = Field(default_factory=dict)
    recovery: Recovery | None = None

    @model_validator(mode="after")
    def _one_way_to_weights(self) -> "Recipe":
        if self.recovery is not None and "weights" in self.artifacts:
            raise ValueError("recovery and artifacts.weights are two ways to weights; give one")
        return self

    @field_validator("end", mode="before")
    @classmethod
    def _clean_or_number(cls, value: Any) -> Any:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value != "clean" and not (number and -LARGEST_LOG_SNR <= value <= LARGEST_LOG_SNR):
            raise ValueError(
                f"write 'clean' or a log-SNR from -{LARGEST_LOG_SNR} to {LARGEST_LOG_SNR}, "
                f"not {shortened(value)}"
            )
        return value

    @classmethod
    def from_dict(cls, data: object, *, where: str = "recipe") -> "Recipe":
        """Validate plain data.

        Raises:
            UserError: for an unknown version, an unknown key, a wrong type or a mechanism that
                this release lacks, in one line.
        """
        try:
            plain = rounded(data)
        except RecursionError:
            raise UserError(f"{where}: nested too deep to be a recipe") from None
        if isinstance(plain, Mapping):
            version = plain.get("version")
            if version is None:
                raise UserError(f"{where}: key 'version' is missing; this release reads {VERSION}")
            if version != VERSION or isinstance(version, bool):
                raise UserError(
                    f"{where}: unknown recipe version {shortened(version)}; "
                    f"this release reads {VERSION}"
                )
        return validated(cls, plain, where=where)

    @classmethod
    def load(cls, path: Path) -> "Recipe":
        """Read a recipe from a JSON file.

        Raises:
            UserError: when the file is missing, is not JSON or is not a valid recipe.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            raise UserError(f"{path}: cannot read the recipe: {reason}") from None
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: not valid JSON: {error}") from None
        return cls.from_dict(data, where=str(path))

    def to_dict(self) -> dict[str, Any]:
        """Plain data without defaults; validates back to an equal recipe."""
        data = self.model_dump(exclude_defaults=True)
        result: dict[str, Any] = rounded(data)
        return result

    def save(self, path: Path) -> None:
        """Write the recipe as JSON."""
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")


def recipe_data(genome: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a genome that a recipe carries."""
    return {key: value for key, value in genome.items() if key != "genes"}
