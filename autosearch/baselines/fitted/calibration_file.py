"""A calibration that travels alone: an artifact's tensors in one file that vouches for itself."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.diffusion.artifact_store import Provenance, pack_artifact
from autosearch.errors import UserError
from autosearch.recipe import Artifact

__all__ = ["read_calibration", "write_calibration"]

_REMEDY = "measure this model: autosearch calibrate"


def write_calibration(path: Path, artifact: Artifact, calibrator: Calibrator) -> None:
    """Write an artifact of the calibrator's denoiser.

    Raises:
        UserError: when the file cannot be written.
    """
    provenance = Provenance(
        artifact.method, artifact.settings, calibrator.denoiser.weights, calibrator.seed
    )
    header = {"provenance": json.dumps(provenance.to_dict()), "artifact": artifact.sha256}
    try:
        save_file(dict(calibrator.denoiser.artifact_store.tensors(artifact)), path, metadata=header)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot write: {error}; give another file") from None


def read_calibration(path: str, calibrator: Calibrator, *, method: str) -> Artifact:
    """The artifact of a file, from now on in the denoiser's library.

    Raises:
        UserError: when it is missing, damaged, of another method or of another model.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such calibration; make one: autosearch calibrate")
    try:
        with safe_open(path, "pt") as opened:
            header = opened.metadata() or {}
        tensors = load_file(path)
        said = json.loads(header["provenance"])
        provenance = Provenance(**said)
        wanted = header["artifact"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise UserError(f"{path}: damaged, or no calibration; {_REMEDY}") from None
    if provenance.method != method:
        raise UserError(f"{path}: a calibration for {provenance.method!r}, not for {method!r}")
    if provenance.model != calibrator.denoiser.weights:
        raise UserError(
            f"{path}: measured on another model ({provenance.model}, this is "
            f"{calibrator.denoiser.weights}); {_REMEDY}"
        )
    artifact, content = pack_artifact(provenance, tensors)
    if artifact.sha256 != wanted:
        raise UserError(f"{path}: damaged; copy it again, or {_REMEDY}")
    calibrator.add(artifact, content)
    return artifact
