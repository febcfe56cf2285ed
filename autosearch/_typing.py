"""Types that many rooms share."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Rng", "Rows"]

# Real numbers in double precision, of the shape that a docstring says.
Array = NDArray[np.float64]
# What was measured of samples, by the name of the need: the first axis of each is the samples.
Rows = Mapping[str, NDArray[np.generic]]
Rng = np.random.Generator
