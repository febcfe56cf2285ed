"""The loop of one's own that the documentation shows runs, and finds what a run finds."""

import re
from pathlib import Path

from autosearch.engine.run import run_study
from autosearch.experiment import load_experiment
from autosearch.study.progress import Progress

PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"


def test_twenty_lines_drive_a_search(tmp_path: Path, capsys) -> None:
    section = PAGE.read_text(encoding="utf-8").split("## A loop of your own")[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    assert len([line for line in code[1].splitlines() if line.strip()]) <= 20
    names: dict[str, object] = {}
    exec(code[1], names)  # the documentation's own code
    shown = capsys.readouterr().out
    engine = names["engine"]
    assert f"{len(engine.study.candidates)} candidates" in shown
    experiment = load_experiment("mixture", ["budget={candidates: 60}", "workers.count=1"])
    whole = run_study(experiment, tmp_path / "run", resume=False, progress=Progress())
    assert {c.id: c.values for c in engine.study.candidates.values()} == {
        c.id: c.values for c in whole.candidates.values()
    }
    assert engine.study.scale == whole.scale
