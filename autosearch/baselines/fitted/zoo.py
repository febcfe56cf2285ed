"""All fits; a new one is a new small file and one line here."""

from collections.abc import Mapping

from autosearch.baselines.fitted import (
    boss,
    dc,
    dpcache,
    erta,
    harmonica,
    importance,
    matched,
    moments,
    olss,
    recover,
    tinyfusion,
    v3,
)
from autosearch.baselines.fitted.base import Fit

__all__ = ["FITS"]

_MODULES = (
    boss,
    dc,
    dpcache,
    erta,
    harmonica,
    importance,
    matched,
    moments,
    olss,
    recover,
    tinyfusion,
    v3,
)

FITS: Mapping[str, Fit] = {name: fit for module in _MODULES for name, fit in module.FITS.items()}
