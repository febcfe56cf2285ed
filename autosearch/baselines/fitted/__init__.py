"""Recipes that are fitted to a model: rules that measure the network before they say anything.

In a baseline's name they stand where policies do, ``SOLVER[-GRID]+FIT[:SETTING...]@STEPS``.
"""

from autosearch.baselines.fitted import (
    boss,
    dc,
    dmn,
    dpcache,
    erta,
    gits,
    harmonica,
    importance,
    moments,
    olss,
    oss,
    recover,
    tinyfusion,
    v3,
)
from autosearch.baselines.fitted.base import Fit
from autosearch.baselines.fitted.calibrator import Calibrator, Sampled
from autosearch.baselines.policies import POLICIES
from autosearch.registry import Parts

__all__ = ["FITS", "Calibrator", "Fit", "Sampled"]

_MODULES = (
    boss,
    dc,
    dmn,
    dpcache,
    erta,
    gits,
    harmonica,
    importance,
    moments,
    olss,
    oss,
    recover,
    tinyfusion,
    v3,
)

FITS = Parts(
    "fit",
    {name: fit for module in _MODULES for name, fit in module.FITS.items()},
    Fit,
    group="autosearch.fits",
    beside=POLICIES,
)
