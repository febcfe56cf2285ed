"""The table of fits, at its smallest."""

import pytest

from autosearch.experiments.benchmarks.fits import fit_rows, markdown


def test_every_fit_has_its_value_and_its_cost() -> None:
    rows = fit_rows(
        "mixture",
        solvers=("ddim", "unipc"),
        fits=("dmn", "gits:20:10", "oss:12:2"),
        counts=(3, 4),
        samples=400,
    )
    assert len(rows) == 2 * 4 * 2
    by = {(row["solver"], row["fit"], row["steps"]): row for row in rows}
    assert all(row["nfe"] == row["steps"] for row in rows)
    for solver in ("ddim", "unipc"):
        assert "forwards" not in by[solver, "", 3]
        assert by[solver, "dmn", 4]["forwards"] == 0
        assert by[solver, "gits:20:10", 3]["forwards"] == pytest.approx(200)
        assert by[solver, "oss:12:2", 4]["forwards"] == pytest.approx(2 * (12 + 4 * 9))
        low, high = by[solver, "dmn", 4]["difference_ci"]
        difference = by[solver, "dmn", 4]["fid"] - by[solver, "", 4]["fid"]
        assert low <= by[solver, "dmn", 4]["difference"] <= high
        assert by[solver, "dmn", 4]["difference"] == pytest.approx(difference, abs=0.2)
    values, costs = markdown(rows).split("\n\n")
    assert values.splitlines()[0] == "| recipe | 3 | 4 |"
    assert len(values.splitlines()) == 2 + 8
    assert costs.splitlines()[2].startswith("| `+dmn` | 0, ")


def test_a_fit_that_is_worse_is_marked() -> None:
    known = {"solver": "ddim", "steps": 3, "fid": 0.5}
    intervals = {"a": (0.1, 0.2), "b": (-0.1, 0.2), "c": (-0.2, -0.1)}
    rows = [{**known, "fit": ""}] + [
        {**known, "fit": fit, "difference_ci": interval, "forwards": 1234.0, "seconds": 2.0}
        for fit, interval in intervals.items()
    ]
    assert markdown(rows).splitlines()[2:6] == [
        "| `ddim` | 0.5000 |",
        "| `ddim+a` | 0.5000 (worse) |",
        "| `ddim+b` | 0.5000 (even) |",
        "| `ddim+c` | 0.5000 |",
    ]
    assert markdown(rows).splitlines()[-1] == "| `+c` | 1,234, 2.0 |"
