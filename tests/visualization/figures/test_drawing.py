"""Pictures are drawn by settings of their own, and end nothing."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from support.soaked import soaked

from autosearch.errors import UserError
from autosearch.visualization.figures import front_figure, save_figure
from autosearch.visualization.figures.drawing import own_settings, plain_text

HARM = {
    "figure.figsize": (1, 1),
    "figure.dpi": 17,
    "savefig.dpi": 400,
    "savefig.bbox": "tight",
    "axes.facecolor": "black",
    "font.size": 40,
    "text.usetex": True,
    "svg.fonttype": "path",
}


def picture(front_of, table, path: Path) -> bytes:
    save_figure(front_figure(front_of(table)), path)
    return path.read_bytes()


def test_settings_elsewhere_change_nothing_and_stay(front_of, table, tmp_path: Path) -> None:
    before = picture(front_of, table, tmp_path / "a.png")
    with matplotlib.rc_context(HARM):
        assert picture(front_of, table, tmp_path / "b.png") == before
        assert matplotlib.rcParams["font.size"] == 40


CODE = """
import sys
from pathlib import Path
from autosearch.visualization.figures.samples import plot_scatter, Panel
import numpy as np
plot_scatter([Panel("a", np.zeros((3, 2)))], Path(sys.argv[1]))
import os
assert os.environ.get("MPLBACKEND") == (sys.argv[2] or None)
"""


@pytest.mark.parametrize(
    "backend", soaked(["module://no_such_module", "nosuch", "tkagg", ""], but=1)
)
def test_backends_of_others_are_not_asked_for(backend: str, tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nno.such.key: 1\nnonsense\n")
    environment = {**os.environ, "MPLBACKEND": backend, "MATPLOTLIBRC": str(tmp_path)}
    if not backend:
        del environment["MPLBACKEND"]
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "x.png"), backend],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


NAMES = ["$x^$", "$\\frac{", "a$b", "\x1b[31m", "$" * 3, "<b>&", "line\nline", "\ud800"]


@pytest.mark.parametrize("name", soaked(NAMES, but=4))
def test_names_are_no_formulas(front_of, table, tmp_path: Path, name: str) -> None:
    table["study"] = table["model"] = name
    for entry in (*table["points"], *table["baselines"]):
        if entry["baseline"]:
            entry["baseline"] = f"{name}@{len(entry['recipe']['steps'])}"
    for suffix in (".png", ".svg", ".pdf"):
        picture(front_of, table, tmp_path / f"x{suffix}")


def test_what_goes_wrong_is_one_line() -> None:
    fault = r"^picture: cannot be drawn: KeyError: 'a'$"
    with pytest.raises(UserError, match=fault), own_settings():
        raise KeyError("a")


def test_a_link_in_a_picture_s_place_is_replaced(front_of, table, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / "front.png").symlink_to(tmp_path / "theirs")
    picture(front_of, table, tmp_path / "front.png")
    assert (tmp_path / "theirs").read_text() == "precious"
    assert not (tmp_path / "front.png").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["front.png", "theirs"]


def test_labels() -> None:
    assert plain_text("a$b\x1b") == r"a\$b\x1b"
