"""The table of calibrated solvers, at its smallest."""

import pytest

from autosearch.errors import UserError
from autosearch.experiments.benchmarks import calibrated


def test_every_method_has_its_values_and_its_cost() -> None:
    methods = ("ddim", "unipc+v3:40:40", "dpmpp_2m+v3:40:40", "unipc+dc:5:20", "ddim+boss:20:5")
    rows = calibrated.calibrated_rows(
        "mixture",
        counts=[3, 4],
        methods=methods,
        grid="quadratic",
        samples=400,
        seed=1,
        searched={},
        workers=None,
    )
    found = {row["method"]: row for row in rows}
    assert list(found) == list(methods)
    assert found["ddim"]["cost"] == 0
    # Statistics are measured once for all that use them.
    assert found["unipc+v3:40:40"]["cost"] == pytest.approx(41 * 40 * 4)
    assert found["dpmpp_2m+v3:40:40"]["cost"] == 0
    assert found["ddim+boss:20:5"]["cost"] == pytest.approx(2 * 20 * 5)
    for row in rows:
        for count, values in row["values"].items():
            assert values["nfe"] == count
            assert values["distance"] > 0
    text = calibrated.markdown(rows, [3, 4], "fid")
    assert text.splitlines()[0] == "| method | cost | 3 | 4 |"
    assert len(text.splitlines()) == 2 + len(methods)


def test_studies_need_a_label() -> None:
    with pytest.raises(UserError, match="write LABEL=DIR"):
        calibrated._studies(["runs/a"])
