"""Files of measured tensors: calibrations and recovered weights, by where they come from.

Each is a safetensors file whose name is the hash of its provenance, which its header holds in full.
A recipe that refers to a file gives the hash of its content, too.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from autosearch.errors import UserError
from autosearch.recipe import Artifact, Recipe
from autosearch.text import replace_file

__all__ = ["FOLDER", "ArtifactStore", "Provenance", "Recent", "carry_artifacts", "pack_artifact"]

# Where a study keeps them, and an export beside its recipe.
FOLDER = "artifacts"
_KEY = 24
_HELD = 4

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(OrderedDict[Key, Value]):
    """The values that were used last, by key; others are made again when they are needed.

    Args:
        limit: how many are held.
    """

    def __init__(self, limit: int = _HELD) -> None:
        super().__init__()
        self._limit = limit

    def hold(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of a key, made where it is not held."""
        if key not in self:
            self[key] = make()
            if len(self) > self._limit:
                self.popitem(last=False)
        self.move_to_end(key)
        return self[key]


@dataclass(frozen=True)
class Provenance:
    """The source of an artifact: it decides the content, up to the arithmetic of the device.

    Attributes:
        method: what made it.
        settings: plain data.
        model: digest of the weights that were measured.
    """

    method: str
    settings: Mapping[str, Any]
    model: str
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as an artifact's header holds it."""
        return asdict(self)

    @property
    def key(self) -> str:
        """The hash of the provenance, of 24 hexadecimal digits."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY]


def pack_artifact(provenance: Provenance, tensors: Mapping[str, Tensor]) -> tuple[Artifact, bytes]:
    """The content of an artifact's file, and a reference to it."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = json.dumps(provenance.to_dict(), sort_keys=True)
    content: bytes = save(plain, metadata={"provenance": header})
    return _reference(provenance, content), content


def _reference(provenance: Provenance, content: bytes) -> Artifact:
    return Artifact(
        method=provenance.method,
        key=provenance.key,
        sha256=hashlib.sha256(content).hexdigest(),
        settings=dict(provenance.settings),
    )


@dataclass(frozen=True, eq=False)
class ArtifactStore:
    """Folders in which artifacts are looked for, in their order; new ones go into the first.

    Without a folder it keeps them in memory.
    """

    folders: Sequence[Path] = ()
    _contents: dict[str, bytes] = field(default_factory=dict)
    _tensors: Recent[str, dict[str, Tensor]] = field(default_factory=Recent)

    def add(self, key: str, content: bytes) -> None:
        """Keep the file of an artifact under its key.

        Raises:
            UserError: when the folder cannot be written.
        """
        if not self.folders:
            self._contents[key] = content
            return
        path = Path(self.folders[0]) / f"{key}.safetensors"
        try:
            replace_file(path, content)
        except OSError as error:
            raise UserError(
                f"{path}: cannot write the artifact: {error.strerror}; give another folder"
            ) from None

    def take(self, recipe: Recipe, source: "ArtifactStore") -> None:
        """Keep all artifacts of a recipe that another store has.

        Raises:
            UserError: when one is missing there or damaged, or cannot be kept.
        """
        for artifact in recipe.artifacts.values():
            self.add(artifact.key, source.content(artifact))

    def content(self, artifact: Artifact) -> bytes:
        """The file of a reference.

        Raises:
            UserError: when it is missing, or is not the one that is meant.
        """
        content = self._read(artifact.key)
        if content is None:
            folders = ", ".join(str(folder) for folder in self.folders) or "memory"
            raise UserError(
                f"artifact {artifact.key}.safetensors ({artifact.method}) is not in {folders}; put "
                f"it into the folder '{FOLDER}' beside the recipe"
            )
        if hashlib.sha256(content).hexdigest() != artifact.sha256:
            raise UserError(
                f"artifact {artifact.key}.safetensors ({artifact.method}) is damaged or another "
                "one than the recipe means; copy it again from where the recipe comes from"
            )
        return content

    def tensors(self, artifact: Artifact) -> Mapping[str, Tensor]:
        """The tensors of a reference; those of the last few are held.

        Raises:
            UserError: as :meth:`content`.
        """
        return self._tensors.hold(artifact.sha256, lambda: self._loaded(artifact))

    def on(self, artifact: Artifact, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
        """The tensors of a reference on a device, those of floats in a type."""
        return {
            name: tensor.to(device, dtype if tensor.is_floating_point() else None)
            for name, tensor in self.tensors(artifact).items()
        }

    def find(self, provenance: Provenance) -> Artifact | None:
        """A reference to what is kept of this provenance; None where nothing whole is."""
        content = self._read(provenance.key)
        if content is None:
            return None
        artifact = _reference(provenance, content)
        try:
            self.tensors(artifact)
        except UserError:
            return None
        return artifact

    def provenance(self, artifact: Artifact) -> Mapping[str, Any]:
        """Where an artifact comes from, as its file tells it.

        Raises:
            UserError: as :meth:`content`.
        """
        content = self.content(artifact)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        provenance: Mapping[str, Any] = json.loads(header["__metadata__"]["provenance"])
        return provenance

    def _loaded(self, artifact: Artifact) -> dict[str, Tensor]:
        try:
            tensors: dict[str, Tensor] = load(self.content(artifact))
        except SafetensorError:
            raise UserError(
                f"artifact {artifact.key}.safetensors is no safetensors file; copy it again"
            ) from None
        return tensors

    def _read(self, key: str) -> bytes | None:
        if key in self._contents:
            return self._contents[key]
        for folder in self.folders:
            path = Path(folder) / f"{key}.safetensors"
            if path.is_file():
                try:
                    return path.read_bytes()
                except OSError as error:
                    raise UserError(f"{path}: cannot read: {error.strerror}") from None
        return None


def carry_artifacts(recipe: Recipe, source: Path, target: Path) -> list[Path]:
    """Copy a recipe's artifacts from one folder's ``artifacts`` to another's.

    Raises:
        UserError: when one is missing or damaged, or the target cannot be written.
    """
    ArtifactStore([target / FOLDER]).take(recipe, ArtifactStore([source / FOLDER]))
    return [target / FOLDER / f"{one.key}.safetensors" for one in recipe.artifacts.values()]
