"""The forms of solver steps; each is one file, and one line in the list here."""

from autosearch.diffusion.solvers.forms.base import Choice, Form, Operands
from autosearch.diffusion.solvers.forms.deis import DEIS, DEISInRho, DEISInTime
from autosearch.diffusion.solvers.forms.dpmsolver import DPMSolver
from autosearch.diffusion.solvers.forms.evodiff import EVODiff
from autosearch.diffusion.solvers.forms.fresh_noise import FreshNoise
from autosearch.diffusion.solvers.forms.ipndm import IPNDM
from autosearch.diffusion.solvers.forms.linear import Linear
from autosearch.diffusion.solvers.forms.lms import LMS
from autosearch.diffusion.solvers.forms.taylor import Taylor
from autosearch.diffusion.solvers.forms.unipc import UniPC1, UniPC2
from autosearch.diffusion.solvers.forms.v3 import DPMSolverV3
from autosearch.diffusion.solvers.forms.velocity import Velocity
from autosearch.errors import UserError
from autosearch.registry import Parts

__all__ = ["FORMS", "USUAL_FORMS", "Choice", "Form", "Operands", "find_form"]

_BUILTIN: tuple[type[Form], ...] = (
    DPMSolver,
    Taylor,
    UniPC1,
    UniPC2,
    DEIS,
    DEISInTime,
    DEISInRho,
    EVODiff,
    Linear,
    DPMSolverV3,
    Velocity,
    IPNDM,
    LMS,
    FreshNoise,
)

FORMS = Parts("form", {form.name: form() for form in _BUILTIN}, Form, group="autosearch.forms")
# What a solver space has unless told otherwise.
USUAL_FORMS: tuple[str, ...] = tuple(name for name, form in FORMS.own.items() if form.usual)


def find_form(name: str) -> Form:
    """The form of a name.

    Raises:
        ValueError: for an unknown one, with the nearest, and for another package's that is broken.
    """
    try:
        return FORMS.find(name)
    except UserError as error:  # which schemas would not add the place to
        raise ValueError(str(error)) from None
