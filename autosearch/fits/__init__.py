"""Recipes that are fitted to a model: rules that measure the network before they say anything.

In a baseline's name they stand where policies do, ``SOLVER[-GRID]+FIT[:SETTING...]@STEPS``.
"""

from autosearch.fits.base import Fit
from autosearch.fits.lab import Lab, Sampled
from autosearch.fits.zoo import FITS

__all__ = ["FITS", "Fit", "Lab", "Sampled"]
