"""The documentation builds without a warning, and names what there is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from autosearch.baselines.fitted.names import check_name
from autosearch.experiment import shipped_experiments

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    for page in PAGES:
        built = page.relative_to(ROOT / "docs").with_suffix(".html")
        assert "--8" not in (tmp_path / "site" / built).read_text()
    # Code of the examples and text of docstrings have arrived in the pages.
    assert "hill climbing that starts afresh" in (tmp_path / "site" / "own-parts.html").read_text()
    assert "delete-one-block" in (tmp_path / "site" / "api" / "objectives.html").read_text()


def test_code_on_pages_is_that_of_its_file() -> None:
    """Pages show files whole, also where nothing is built: a comment names each."""
    shown = 0
    for page in (*PAGES, ROOT / "CONTRIBUTING.md"):
        text = page.read_text(encoding="utf-8")
        for name, code in re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?\n)```", text, re.DOTALL):
            assert code == (ROOT / name).read_text(encoding="utf-8"), f"{page}: {name}"
            shown += 1
        assert "--8<" not in text
    assert shown == 16


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_experiments_and_baselines_that_pages_name_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"autosearch run\s+([a-z]\w*)(?![\w.])", text):
        assert name in shipped_experiments(), name
    for name in re.findall(r"baseline:([\w+:.-]+@\d+)", text):
        if "_from:" not in name and "+cpr" not in name:  # those read a file of the reader's
            check_name(name)
