"""A saved pipeline: its configurations, read before any weights are."""

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from autosearch.errors import UserError, shortened

__all__ = ["Configs", "PipelineFolder"]

# Bytes hashed at each of so many places of a file: enough to tell weights apart, and quick.
_PIECE = 4096
_PIECES = 64


def _is_known_library(name: str) -> bool:
    """Whether diffusers itself would look for a pipeline's part there."""
    if name in ("diffusers", "transformers"):
        return True
    found = importlib.util.find_spec("diffusers")
    places = found.submodule_search_locations or () if found else ()
    return any(Path(place, "pipelines", name, "__init__.py").is_file() for place in places)


@dataclass(frozen=True)
class Configs:
    """What the files of a pipeline say.

    Attributes:
        pipeline: name of its class.
        component: where its network is, ``transformer`` or ``unet``.
        network: the network's configuration, with ``_class_name``; so are the others.
        tokens: the text length of its first tokenizer, where it has one.
    """

    pipeline: str
    component: str
    network: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    vae: Mapping[str, Any]
    tokens: int


@dataclass(frozen=True)
class PipelineFolder:
    """A pipeline in a local folder, or on the hub under its name."""

    path: str
    revision: str | None = None

    @cached_property
    def configs(self) -> Configs:
        """Its configurations; of a hub's, only those small files are fetched.

        Raises:
            UserError: for a folder without a pipeline, or one whose files cannot be read.
        """
        index = self._json("model_index.json")
        self._check_index(index)
        component = next((name for name in ("transformer", "unet") if index.get(name)), None)
        if component is None:
            raise UserError(f"model.path: {self.path} has neither a transformer nor a unet")
        tokenizer = self._json("tokenizer/tokenizer_config.json") if index.get("tokenizer") else {}
        return Configs(
            pipeline=str(index.get("_class_name", "")),
            component=component,
            network=self._json(f"{component}/config.json"),
            scheduler=self._json("scheduler/scheduler_config.json"),
            vae=self._json("vae/config.json") if index.get("vae") else {},
            tokens=int(tokenizer.get("model_max_length", 0)),
        )

    def _check_index(self, index: Mapping[str, Any]) -> None:
        """Refuse a pipeline that would bring code of its own: diffusers runs what it names.

        Raises:
            UserError: naming the entry.
        """
        kind = index.get("_class_name", "")
        if not isinstance(kind, str) or (kind and not kind.isidentifier()):
            raise self._foreign("_class_name", kind)
        for name, value in index.items():
            if name.startswith("_") or not isinstance(value, list):
                continue
            library, part = value if len(value) == 2 else (value, None)
            if library is None:
                continue
            words = all(isinstance(one, str) and one.isidentifier() for one in (library, part))
            if not (words and name.isidentifier() and _is_known_library(str(library))):
                raise self._foreign(name, value)
            if Path(self.path, name, f"{library}.py").exists():
                raise self._foreign(name, value)

    def _foreign(self, name: str, value: object) -> UserError:
        return UserError(
            f"model.path: {self.path}: model_index.json: {name} is {shortened(value)}, which is no "
            "class of diffusers or transformers; code that comes with a model is not run"
        )

    @cached_property
    def local(self) -> Path:
        """A folder with everything; a hub's pipeline is downloaded."""
        if Path(self.path).is_dir():
            return Path(self.path)
        from autosearch.models.diffusers.optional_import import diffusers_class

        kind = diffusers_class("DiffusionPipeline")
        try:
            return Path(kind.download(self.path, revision=self.revision, use_safetensors=True))
        except (OSError, ValueError, ImportError) as error:
            raise self._unreadable(error) from None

    @cached_property
    def weights(self) -> str:
        """A digest of the network's weights: file sizes and pieces of every file.

        Raises:
            UserError: where there are none in safetensors.
        """
        place = self.local / self.configs.component
        files = sorted(place.glob("*.safetensors"))
        if not files:
            raise UserError(f"model.path: no safetensors in {place}; save the pipeline with them")
        parts = hashlib.sha256()
        for file in files:
            size = file.stat().st_size
            parts.update(str(size).encode())
            with file.open("rb") as stream:
                for i in range(_PIECES):
                    stream.seek(i * max(size - _PIECE, 0) // (_PIECES - 1))
                    parts.update(stream.read(_PIECE))
        return parts.hexdigest()[:16]

    def _json(self, name: str) -> dict[str, Any]:
        try:
            data = json.loads(self._file(name).read_text(encoding="utf-8"))
        except (OSError, ValueError, ImportError) as error:
            raise self._unreadable(error, name) from None
        if not isinstance(data, dict):
            raise UserError(f"model.path: {name} of {self.path} is no configuration")
        return data

    def _file(self, name: str) -> Path:
        if Path(self.path).is_dir():
            return Path(self.path) / name
        if Path(self.path).is_absolute() or self.path.startswith("."):
            raise UserError(
                f"model.path: no folder at {self.path}; give a saved pipeline's folder, or its "
                "name on the hub"
            )
        try:
            from huggingface_hub import hf_hub_download
        except ImportError:
            from autosearch.models.diffusers.optional_import import diffusers

            diffusers()
            raise
        return Path(hf_hub_download(self.path, name, revision=self.revision))

    def _unreadable(self, error: Exception, name: str = "it") -> UserError:
        reason = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
        return UserError(f"model.path: {self.path}: cannot read {name}: {reason}")
