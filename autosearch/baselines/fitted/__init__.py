"""Recipes that are fitted to a model: rules that measure the network before they say anything.

In a baseline's name they stand where policies do, ``SOLVER[-GRID]+FIT[:SETTING...]@STEPS``.
"""

from autosearch.baselines.fitted.base import Fit
from autosearch.baselines.fitted.calibrator import Calibrator, Sampled
from autosearch.baselines.fitted.zoo import FITS

__all__ = ["FITS", "Calibrator", "Fit", "Sampled"]
