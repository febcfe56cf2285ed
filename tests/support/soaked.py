"""Many cases of one test: some in each run, all of them in ``make soak``."""

from collections.abc import Iterable
from typing import Any

import pytest


def soaked(cases: Iterable[Any], *, but: int) -> list[Any]:
    """Cases for ``parametrize``: the first few as they are, the others marked ``soak``.

    A tuple is a case of several arguments.
    """
    listed = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [
        pytest.param(*case, marks=pytest.mark.soak if i >= but else ())
        for i, case in enumerate(listed)
    ]
