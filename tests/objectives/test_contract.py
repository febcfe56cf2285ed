"""Every objective inherits the tests that anybody's can."""

import pytest

from autosearch.objectives import BUILTIN
from autosearch.testing import ObjectiveContract

pytestmark = pytest.mark.filterwarnings("error")

globals().update(
    {
        f"Test{kind.__name__}": type(f"Test{kind.__name__}", (ObjectiveContract,), {"make": kind})
        for kind in BUILTIN
    }
)
