"""How samples are scored: objectives, their estimates and honest errors."""

from autosearch.objectives.base import Estimate, Objective, compare
from autosearch.objectives.cost import Forwards, Macs, Memory, Nfe
from autosearch.objectives.extractor import ImageRows, register
from autosearch.objectives.fid import FdPixels, Fid, FidPlain
from autosearch.objectives.inception import InceptionScore
from autosearch.objectives.jackknife import block_count
from autosearch.objectives.kid import Kid
from autosearch.objectives.precision_recall import Precision, Recall
from autosearch.objectives.teacher_mse import TeacherMse

__all__ = [
    "BUILTIN",
    "Estimate",
    "FdPixels",
    "Fid",
    "FidPlain",
    "Forwards",
    "ImageRows",
    "InceptionScore",
    "Kid",
    "Macs",
    "Memory",
    "Nfe",
    "Objective",
    "Precision",
    "Recall",
    "TeacherMse",
    "block_count",
    "compare",
    "register",
]

BUILTIN: tuple[type[Objective], ...] = (
    Fid,
    FidPlain,
    FdPixels,
    Kid,
    InceptionScore,
    Precision,
    Recall,
    TeacherMse,
    Nfe,
    Forwards,
    Macs,
    Memory,
)
