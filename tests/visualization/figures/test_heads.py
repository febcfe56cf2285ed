"""The picture of attention heads, and the gains that it shows."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from autosearch.errors import UserError
from autosearch.objectives import Estimate
from autosearch.study.events import Header
from autosearch.study.study import Candidate, Study
from autosearch.visualization.figures import head_gains, heads_figure, save_figure

WORTH = {"block.0.attn:0": 0.1, "block.2.attn:1": 0.3, "block.10.attn:2": -0.2}
A, B, C = WORTH
NOISE = np.random.default_rng(0).normal(size=20)


def candidate(
    number: int, heads: Iterable[str], *, scale: float = 1.0, time: float = 5
) -> Candidate:
    """Worth the sum of its heads; ``A`` and ``B`` together are worth less."""
    heads = sorted(heads)
    value = 1.0 - sum(WORTH[name] for name in heads) + (0.25 if {A, B} <= set(heads) else 0.0)
    sites = {name.partition(":")[0]: [int(name[-1])] for name in heads}
    step = {"time": time, "guidance": [{"rule": "pag", "scale": scale, "heads": sites}]}
    genome = {
        "start": {"scale": "unit"},
        "steps": [step if heads else {"time": time}],
        "end": "clean",
        "genes": {"heads": {"heads": heads, "scale": scale}},
    }
    # All see the same noise, and a third head its own besides.
    own = 0.5 * NOISE[::-1] if C in heads else 0.0
    fid = Estimate(value, tuple((value + 0.3 * NOISE + own).tolist()))
    values = {"fid": fid, "forwards": Estimate(10.0)}
    return Candidate(number, "search", None, genome, str(number), 1.0, status="ok", values=values)


def study(*candidates: Candidate, objective: str = "fid", family: str = "heads") -> Study:
    experiment = {
        "model": "digits",
        "space": {"named": {"recipes": ["ddim@5"]}, family: {}},
        "objectives": [objective, "forwards"],
    }
    made = Study(
        Header(name="s", model_name="digits", model={}, experiment=experiment, overrides=[])
    )
    made.candidates.update({c.id: c for c in candidates})
    return made


SETS = [(), (A,), (B,), (C,), (B, A), (B, C)]


def test_gains_are_differences_on_the_same_noise() -> None:
    gains = head_gains(study(*(candidate(i, heads) for i, heads in enumerate(SETS))))
    assert gains is not None
    assert gains.objective == "fid"
    assert gains.chosen == {B}
    assert list(gains.layers.items()) == [
        ("block.0.attn", 1),
        ("block.2.attn", 2),
        ("block.10.attn", 3),
    ]
    alone = {name: gain.value for name, gain in gains.alone.items()}
    assert alone == pytest.approx(WORTH)
    assert {name: gain.clear for name, gain in gains.alone.items()} == {A: True, B: True, C: False}
    # B was tried alone only; the others were also added to it.
    added = {name: gain.value for name, gain in gains.added.items()}
    assert added == pytest.approx({A: 0.1 - 0.25, B: 0.3, C: -0.2})


def test_only_what_differs_by_one_head_and_in_nothing_else_counts() -> None:
    others = [candidate(7, [A], scale=2.0), candidate(8, [C], time=6)]
    gains = head_gains(study(candidate(0, []), candidate(1, [B]), *others))
    assert gains is not None
    assert set(gains.alone) == {B}
    assert head_gains(study(candidate(1, [B]), *others)) is None
    assert head_gains(study()) is None
    assert head_gains(study(candidate(0, []), candidate(1, [B]), family="guidance")) is None


def test_what_is_larger_is_better_where_it_is_maximized() -> None:
    found = [candidate(0, []), candidate(1, [B])]
    for one in found:
        one.values["precision"] = one.values["fid"]
    gains = head_gains(study(*found, objective="precision"))
    assert gains is not None
    assert gains.alone[B].value == pytest.approx(-0.3)
    assert gains.chosen == frozenset()


def test_the_picture_shows_both_tables(tmp_path: Path) -> None:
    gains = head_gains(study(*(candidate(i, heads) for i, heads in enumerate(SETS))))
    assert gains is not None
    figure = heads_figure(gains)
    alone, added, _ = figure.axes
    assert [label.get_text() for label in alone.get_yticklabels()] == list(gains.layers)
    shown = alone.images[0].get_array()
    assert shown.shape == (3, 3)
    assert shown[1, 1] == pytest.approx(0.3)
    assert np.ma.getmaskarray(np.ma.masked_invalid(shown)).sum() == 6
    assert added.images[0].get_array()[0, 0] == pytest.approx(-0.15)
    for axes in (alone, added):
        assert axes.images[0].get_clim() == pytest.approx((-0.3, 0.3))
    assert [len(axes.patches) for axes in (alone, added)] == [1, 1]
    assert len(alone.lines) == 2  # two clear gains
    save_figure(heads_figure(gains), tmp_path / "sub" / "heads.png")
    assert matplotlib.image.imread(tmp_path / "sub" / "heads.png").shape[1] == 800
    with pytest.raises(UserError, match=r"use .png, .pdf or .svg"):
        save_figure(heads_figure(gains), tmp_path / "heads.jpg")
