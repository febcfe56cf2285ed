"""How samples are scored: objectives, their estimates and honest errors."""

from autosearch.objectives.base import Estimate, Objective, compare, half_width
from autosearch.objectives.cost import Forwards, Macs, Memory, Nfe
from autosearch.objectives.extractor import ImageRows, register
from autosearch.objectives.fid import FdPixels, Fid, FidPlain
from autosearch.objectives.inception import InceptionScore
from autosearch.objectives.jackknife import block_count
from autosearch.objectives.kid import Kid
from autosearch.objectives.latency import Latency
from autosearch.objectives.means import ClassAccuracy, TeacherMse
from autosearch.objectives.mmhm import Mmhm, MmhmText
from autosearch.objectives.precision_recall import Precision, Recall
from autosearch.objectives.rewards import Reward, RewardObjective
from autosearch.objectives.teacher_fd import TeacherFd, TeacherFid
from autosearch.objectives.text_rewards import ClipScore, ImageRewardScore, PickScore
from autosearch.registry import Registry

__all__ = [
    "BUILTIN",
    "REGISTRY",
    "ClassAccuracy",
    "ClipScore",
    "Estimate",
    "FdPixels",
    "Fid",
    "FidPlain",
    "Forwards",
    "ImageRewardScore",
    "ImageRows",
    "InceptionScore",
    "Kid",
    "Latency",
    "Macs",
    "Memory",
    "Mmhm",
    "MmhmText",
    "Nfe",
    "Objective",
    "PickScore",
    "Precision",
    "Recall",
    "Reward",
    "RewardObjective",
    "TeacherFd",
    "TeacherFid",
    "TeacherMse",
    "block_count",
    "compare",
    "find",
    "half_width",
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
    ClassAccuracy,
    ClipScore,
    PickScore,
    ImageRewardScore,
    Mmhm,
    MmhmText,
    TeacherMse,
    TeacherFd,
    TeacherFid,
    Nfe,
    Forwards,
    Macs,
    Memory,
    Latency,
)

REGISTRY = Registry("objective", BUILTIN)
find = REGISTRY.find
