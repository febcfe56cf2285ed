"""Policies by name: what they leave out, at published settings, and how they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest

from autosearch.baselines import POLICIES, baseline, split_name
from autosearch.baselines.policies.caches import IntervalCache, computes
from autosearch.baselines.policies.gates import GatedCache
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.errors import UserError
from autosearch.models.bundled import DigitsModel
from autosearch.models.exact import ExactDenoiser


@pytest.fixture(scope="module")
def digits() -> Denoiser:
    return DigitsModel.load().denoiser


def plan(name: str, denoiser: Denoiser) -> Plan:
    return compile_recipe(baseline(name, denoiser), denoiser)


def computing(found: Plan) -> list[int]:
    """The steps that compute everything."""
    return [i for i, step in enumerate(found.steps) if not step.branches[0].sites]


@pytest.mark.parametrize("name", [name for name, one in POLICIES.items() if not one.path])
def test_each_policy_leaves_something_out_at_its_published_settings(
    name: str, digits: Denoiser
) -> None:
    plain, found = plan("ddim@20", digits), plan(f"ddim+{name}@20", digits)
    assert found.identity != plain.identity
    gates = [step.branches[0].gate for step in found.steps]
    saved = sum(gate.saves for gate in gates if gate is not None)
    assert found.macs - saved < plain.macs
    if POLICIES[name].owns == "gate":
        assert found.macs == plain.macs
        assert found.gated


def test_fora_reuses_all_parts_between_its_steps(digits: Denoiser) -> None:
    found = plan("ddim+fora:4@10", digits)
    assert computing(found) == [0, 4, 8]
    parts = [site for site in digits.sites if site.parent is not None]
    for i, step in enumerate(found.steps):
        expected = {} if i in (0, 4, 8) else {site.name: "reuse" for site in parts}
        assert {k: str(v) for k, v in step.branches[0].sites} == expected
    left = digits.macs - sum(site.macs for site in parts)
    assert found.macs == 3 * digits.macs + 7 * left
    assert plan("ddim+fora:1@10", digits) == plan("ddim@10", digits)
    assert plan("ddim+fora@10", digits) == plan("ddim+fora:3@10", digits)


def test_taylorseer_counts_from_its_warm_up(digits: Denoiser) -> None:
    """Of its released code: full when step < first_enhance or the counter is interval - 1."""
    for interval, warmup in ((4, 2), (3, 1), (6, 3)):
        counter, full = 0, []
        for step in range(20):
            if step < warmup or counter == interval - 1:
                full.append(step)
                counter = 0
            else:
                counter += 1
        found = plan(f"ddim+taylorseer:{interval}:1:{warmup}@20", digits)
        assert computing(found) == full
        assert [computes(i, interval=interval, warmup=warmup) for i in range(20)] == [
            i in full for i in range(20)
        ]
    actions = [dict(step.branches[0].sites) for step in plan("ddim+taylorseer@20", digits).steps]
    # No order beyond what was computed by then.
    orders = [next(iter(found.values())).order for found in actions if found]
    assert orders == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 5
    assert plan("ddim+taylorseer:3:0:1@20", digits) == plan("ddim+fora:3@20", digits)


def test_delta_turns_from_rear_to_front(digits: Denoiser) -> None:
    found = plan("ddim+delta:2:0.5:0.5@8", digits)
    names = [[name for name, _ in step.branches[0].sites] for step in found.steps]
    assert names == [
        [],
        ["block.4..block.7"],
        [],
        ["block.4..block.7"],
        [],
        ["block.0..block.3"],
        [],
        ["block.0..block.3"],
    ]
    assert found.keep == {"block.4..block.7": 1, "block.0..block.3": 1}


def test_cgtaylor_as_published(digits: Denoiser) -> None:
    found = plan("ddim+cgtaylor@20", digits)
    gates = [step.branches[0].gate for step in found.steps]
    assert [i for i, gate in enumerate(gates) if gate is None] == [0, 1, 2, 19]
    assert {(g.probe, g.threshold, g.measure) for g in gates if g} == {
        ("block.0", 0.008, "forecast")
    }
    assert [g.order for g in gates if g] == [2] + [3] * 15
    assert {tuple((n, str(a)) for n, a in g.sites) for g in gates if g} == {
        (("block.1..block.7", "output:1"),)
    }


def test_block_caches_as_their_libraries_set_them(digits: Denoiser) -> None:
    first = plan("ddim+fbc@20", digits).steps[5].branches[0].gate
    assert first is not None
    assert (first.probe, first.threshold, first.measure) == ("block.0", 0.05, "change")
    assert [(name, str(action)) for name, action in first.sites] == [("block.1..block.7", "reuse")]
    several = plan("ddim+dbcache:0.1:3:5@20", digits)
    gates = [step.branches[0].gate for step in several.steps]
    assert [gate is None for gate in gates] == [True] * 5 + [False] * 15
    assert gates[5] is not None
    assert (gates[5].probe, gates[5].threshold) == ("block.2", 0.1)
    assert [name for name, _ in gates[5].sites] == ["block.3..block.7"]


def test_patterns_of_blocks(digits: Denoiser) -> None:
    assert baseline("ddim+bksdm@5", digits).pruned == [f"block.{i}" for i in (1, 3, 5, 7)]
    assert baseline("ddim+bksdm:4@5", digits).pruned == [f"block.{i}" for i in (1, 2, 3, 5, 6, 7)]
    assert baseline("ddim+drop:5:2@5", digits).pruned == ["block.2", "block.5"]
    assert plan("ddim+bksdm@5", digits) == plan("ddim+drop:1:3:5:7@5", digits)


def test_a_mask_of_ones_own(digits: Denoiser, tmp_path: Path) -> None:
    path = tmp_path / "mask.json"
    fora = plan("ddim+fora:2@4", digits)
    mask = np.ones((4, 8, 2), dtype=int)
    mask[1::2] = 0
    for given in (mask.tolist(), mask.reshape(4, 16).tolist(), mask.astype(bool).tolist()):
        path.write_text(json.dumps(given))
        assert plan(f"ddim+mask:{path}@4", digits) == fora
    for given, message in [
        (mask[:3], "expected 4 steps x 16 sites (block.0.attn to block.7.mlp), got 3 x 8 x 2"),
        (mask[:, :7], "got 4 x 7 x 2"),
        (mask[0, 0, 0], "got a single value"),
        (mask * 2, "expected 1 (compute) and 0 (reuse) only"),
    ]:
        path.write_text(json.dumps(given.tolist()))
        with pytest.raises(UserError) as caught:
            baseline(f"ddim+mask:{path}@4", digits)
        assert message in str(caught.value)
        assert str(caught.value).startswith(str(path))
    path.write_text("[[1, 0], [1]]")
    with pytest.raises(UserError, match="its rows are not all of one length"):
        baseline(f"ddim+mask:{path}@4", digits)
    path.write_text("[1,")
    with pytest.raises(UserError, match="not valid JSON"):
        baseline(f"ddim+mask:{path}@4", digits)
    with pytest.raises(UserError, match="cannot read the mask: No such file"):
        baseline("ddim+mask:nowhere.json@4", digits)
    with pytest.raises(UserError, match="mask takes a file; write mask:FILE"):
        baseline("ddim+mask@4", digits)


def test_policies_add_up(digits: Denoiser) -> None:
    both = plan("ddim+bksdm+fora:2@6", digits)
    assert computing(both) == []
    for i, step in enumerate(both.steps):
        kinds = {str(action) for _, action in step.branches[0].sites}
        assert kinds == ({"skip", "reuse"} if i % 2 else {"skip"})
    assert split_name("ddim-trailing+bksdm+fora:2@6").policies == ("bksdm", "fora:2")


@pytest.mark.parametrize("count", [1, 2, 5, 20])
@pytest.mark.parametrize(
    "cache",
    [
        IntervalCache(3),
        IntervalCache(4, 2, 2),
        IntervalCache(2, cached=3, boundary=0.6, whole=True),
        IntervalCache(5, 1, 3, cached=5, boundary=0.35),
        IntervalCache(1),
    ],
)
def test_interval_caches_are_read_off_their_steps(
    cache: IntervalCache, count: int, digits: Denoiser
) -> None:
    steps = cache.steps(count, digits.sites)
    found = IntervalCache.from_steps(steps, digits.sites)
    assert found is not None
    assert found.steps(count, digits.sites) == steps


def test_other_caches_are_no_interval_caches(digits: Denoiser) -> None:
    steps = IntervalCache(3).steps(12, digits.sites)
    assert IntervalCache.from_steps([*steps[:4], {}, *steps[5:]], digits.sites) is None
    del steps[5]["block.3.attn"]
    assert IntervalCache.from_steps(steps, digits.sites) is None


@pytest.mark.parametrize(
    "cache",
    [
        GatedCache(0.1),
        GatedCache(0.008, "forecast", 3, 1, warmup=3, tail=1),
        GatedCache(0.08, "change", first=4, warmup=8),
        GatedCache(0.0),
    ],
)
def test_gated_caches_are_read_off_their_steps(cache: GatedCache, digits: Denoiser) -> None:
    steps = cache.steps(20, digits.sites)
    assert GatedCache.from_gates(steps, digits.sites) == cache
    if cache.threshold:
        assert GatedCache.from_gates([*steps[:-5], None, *steps[-4:]], digits.sites) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ddim+foro@5", "unknown policy 'foro'; did you mean 'fora'?"),
        ("ddim+fora:0@5", "fora's interval is '0'; expected a whole number from 1 to 1000"),
        ("ddim+fora:2.5@5", "fora's interval is '2.5'; expected a whole number"),
        ("ddim+fora:x@5", "fora's interval is 'x'"),
        ("ddim+fora:nan@5", "fora's interval is 'nan'"),
        ("ddim+fora:3:2@5", "fora takes at most 1 settings, not 2; write fora[:interval=3]"),
        ("ddim+taylorseer:3:5@5", "taylorseer's order is '5'; expected a whole number from 0 to 4"),
        ("ddim+fora+taylorseer@5", "fora and taylorseer decide the same; leave one of them out"),
        ("ddim+drop:8@5", "this model has blocks 0 to 7, not 8"),
        ("ddim+@5", "unknown policy ''"),
        ("ddim+fora:3", "write SOLVER[-GRID]@STEPS"),
    ],
)
def test_refusals(name: str, message: str, digits: Denoiser) -> None:
    with pytest.raises(UserError) as caught:
        baseline(name, digits)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_without_blocks_has_nothing_to_leave_out(make) -> None:
    exact: ExactDenoiser = make("vp")
    with pytest.raises(UserError, match="this model has no blocks to leave out"):
        baseline("ddim+fora:3@5", exact)
