"""``report``, and answers of ``front --pick``."""

from pathlib import Path

import pytest


def test_a_report_beside_the_journal_or_elsewhere(cli, study: Path, tmp_path: Path) -> None:
    path = tmp_path / "sub" / "page.html"
    result = cli("report", study, "-o", path, "--samples", "0", "--pick", "nfe<=3")
    assert (result.code, result.out) == (0, "")
    assert "written" in result.err
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert not (study / "report.html").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-o", "page.txt"), "a report is written as .html"),
        (("--samples", "-1"), "use 0 or more"),
        (("--pick", "kne", "--samples", "0"), "did you mean 'knee'"),
        (("--pick", "speedup>=99", "--samples", "0"), "the nearest has speedup"),
    ],
)
def test_mistakes_are_one_line(
    cli, study: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    extra = () if "-o" in options else ("-o", tmp_path / "page.html")
    result = cli("report", study, *options, *extra)
    assert result.code == 2
    assert words in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


def test_a_directory_without_a_study_is_refused(cli, tmp_path: Path) -> None:
    result = cli("report", tmp_path)
    assert result.code == 2
    assert "holds no study" in result.err


def test_an_answer_for_a_target_speed(cli, study: Path) -> None:
    data = cli("front", study, "--pick", "speedup>=1.3", "--json").data
    assert data["compared_with"]["objective"] == "nfe"
    base = data["compared_with"]["baseline"]
    assert base.endswith("@4")
    front = cli("front", study, "--json").data
    fast = [p for p in front["points"] if p["on_front"] and 4 / p["values"]["nfe"]["search"] >= 1.3]
    best = min(fast, key=lambda p: p["values"]["fid"]["validated"])
    assert data["point"] == {**best, "speedup": 4 / best["values"]["nfe"]["search"]}
    costs = [
        None if entry is None else entry["values"]["nfe"]["search"]
        for entry in (data["neighbours"]["cheaper"], data["point"], data["neighbours"]["dearer"])
    ]
    known = [cost for cost in costs if cost is not None]
    assert known == sorted(known)
    text = cli("front", study, "--pick", "speedup>=1.3").out
    assert f"as fast as {base} (nfe 4 to" in text
    for words in ("the choice", "compared with", "step", "order", "take it: autosearch export"):
        assert words in text


def test_an_answer_names_the_base_that_was_asked_for(cli, study: Path) -> None:
    result = cli("front", study, "--pick", "speedup>=1 over ddim@2")
    assert result.code == 0
    assert "as fast as ddim@2" in result.out
    wrong = cli("front", study, "--pick", "speedup>=1 over ddim@9")
    assert wrong.code == 2
    assert "unknown baseline 'ddim@9'" in wrong.err


def test_an_export_says_what_its_speed_is_compared_with(cli, study: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    result = cli("export", study, "--pick", "speedup>=1.3", "-o", path)
    assert result.code == 0
    assert "as fast as" in result.err
    assert path.exists()
