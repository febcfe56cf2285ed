"""The recipe as a whole, read from and written to plain data, and what it needs besides itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from autosearch.errors import UserError, shortened, validated
from autosearch.recipe.schema import Strict, round_numbers
from autosearch.recipe.step import LARGEST_LOG_SNR, LogSnr, Step

__all__ = ["Artifact", "ModelKey", "Recipe", "Recovery", "Start", "recipe_data"]

VERSION = 1
_HEX = r"^[0-9a-f]+$"


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


class Artifact(Strict):
    """A reference to a file of tensors.

    Attributes:
        method: what made it.
        key: hash of its provenance (method, settings, model, seed), part of a plan's identity;
            the file is called ``KEY.safetensors``.
        sha256: of the file; a file with another one is refused.
        settings: as given to the method, for readers.
    """

    method: Annotated[str, Field(min_length=1, max_length=100)]
    key: Annotated[str, Field(pattern=_HEX, min_length=24, max_length=24)]
    sha256: Annotated[str, Field(pattern=_HEX, min_length=64, max_length=64)]
    settings: dict[str, Any] = Field(default_factory=dict)


class Recovery(Strict):
    """A short fine-tune of what pruning leaves of a network, on the whole network's predictions.

    Attributes:
        steps: of training.
        rate: the learning rate at first.
        seed: of everything random in it.
        rank: of the updates of the linear maps, which are trained alone; None: all weights are.
    """

    steps: Annotated[int, Field(ge=1, le=1_000_000)]
    rate: Annotated[float, Field(gt=0, le=1)]
    seed: Annotated[int, Field(ge=0, lt=10**9)] = 0
    rank: Annotated[int, Field(ge=1, le=1024)] | None = None


class Recipe(Strict):
    """A way to sample from a model; see the fields' own pages for their meaning.

    Attributes:
        end: where the last step goes: to clean data, or to a half log-SNR, log(alpha/sigma).
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
            plain = round_numbers(data)
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
        result: dict[str, Any] = round_numbers(data)
        return result

    def save(self, path: Path) -> None:
        """Write the recipe as JSON."""
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")


def recipe_data(genome: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a genome that a recipe carries."""
    return {key: value for key, value in genome.items() if key != "genes"}
