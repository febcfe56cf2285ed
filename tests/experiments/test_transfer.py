"""Transfer between models at its smallest."""

from dataclasses import replace
from pathlib import Path

import pytest

from autosearch.experiments.benchmarks.contestants import SPACES
from autosearch.experiments.benchmarks.transfer import table, transfer
from autosearch.study.study import Study

TINY = replace(
    SPACES["timesteps"],
    keys={
        **SPACES["timesteps"].keys,
        "budget": {"forward_equivalents": 60_000},
        "validation": {"samples": 100},
    },
    fits=("ddim", "dpmpp_2m"),
    rungs=(100,),
    paired=(100,),
    validation=200,
)


def mixture(seed: int) -> dict[str, object]:
    return {"name": "mixture", "dimension": 2, "components": 3, "seed": seed}


def test_what_is_given_is_counted_and_tried_first(tmp_path: Path) -> None:
    runs = transfer(tmp_path, [0], known=mixture(0), other=mixture(1), course=TINY)
    assert [run.contestant for run in runs] == ["without", "with"]
    first = Study.read(tmp_path / "first")
    plain, given = (Study.read(tmp_path / "other" / f"{name}-0") for name in ("without", "with"))
    kinds = [candidate.kind for candidate in given.candidates.values()]
    assert "init" in kinds
    assert "init" not in [candidate.kind for candidate in plain.candidates.values()]
    assert kinds.index("init") < kinds.index("search")
    assert first.header.model_name == "mixture"
    for run in runs:
        assert 50_000 < run.cost <= 60_000
    row = table(runs)[0]
    assert row["without"] == pytest.approx(runs[0].reaches(0.95 * runs[0].final))
    assert row["volume with"] == runs[1].final
