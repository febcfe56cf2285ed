"""Gates: each sample and branch decides for itself, and what it left out is counted."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.macs import count_macs
from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, model_key
from autosearch.diffusion.sampling.sampler import State, last_state, trajectory
from autosearch.diffusion.sites.memory import FeatureMemory, Lookup, Put, RowMemory
from autosearch.errors import UserError
from autosearch.recipe import Recipe

MakeDit = Callable[..., NetworkDenoiser]
COUNT, ALWAYS = 20, 1e9
REST = {"block.1..block.3": "forecast:1"}
CFG = {"rule": "cfg", "scale": 2.0}


@pytest.fixture
def denoiser(random_dit: MakeDit) -> NetworkDenoiser:
    return random_dit()


def gate(threshold: float, covers: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    return {"probe": "block.0", "threshold": threshold, "covers": covers or REST, **fields}


def compiled(denoiser: NetworkDenoiser, *steps: dict[str, Any], **rest: Any) -> Plan:
    times = [950 - 900 * i // len(steps) for i in range(len(steps))]
    data = {
        "version": 1,
        "model": model_key(denoiser).model_dump(),
        "steps": [{"time": t, **step} for t, step in zip(times, steps, strict=True)],
        **rest,
    }
    return compile_recipe(Recipe.from_dict(data), denoiser)


def ended(denoiser: NetworkDenoiser, plan: Plan, rows: Sequence[int] = range(COUNT)) -> State:
    noise = draw(0, Stream.EVALUATE, rows, denoiser.sample_shape)
    return last_state(denoiser, plan, noise, labels(rows, denoiser.classes))


def middle(denoiser: NetworkDenoiser, *before: dict[str, Any], **fields: Any) -> float:
    """A threshold that about half of the samples pass."""
    low, high = 1e-4, 100.0
    for _ in range(40):
        threshold = (low * high) ** 0.5
        plan = compiled(denoiser, *before, {"gate": gate(threshold, **fields)})
        saved = ended(denoiser, plan).saved
        share = 0.0 if saved is None else float((saved > 0).double().mean())
        if 0.3 < share < 0.7:
            return threshold
        low, high = (threshold, high) if share < 0.5 else (low, threshold)
    raise AssertionError("no threshold tells the samples apart")


def gated_explicitly(denoiser: NetworkDenoiser, threshold: float, row: int) -> tuple[Tensor, bool]:
    """The third of three steps by hand, for one sample: probe, decision, forecast or the rest."""
    network: Any = denoiser.network
    plan = compiled(denoiser, {}, {}, {})
    noise = draw(0, Stream.EVALUATE, [row], denoiser.sample_shape)
    condition = labels([row], denoiser.classes)
    with torch.inference_mode():
        states = list(trajectory(denoiser, plan, noise, condition))
        times = [step.time for step in plan.steps]
        seen = []
        for state, time in zip(states, times, strict=False):
            cond = network.conditioning(torch.full((1,), time), condition)
            hidden = [network.embed(network.patchify(state.x)) + network.position]
            for block in network.blocks:
                hidden.append(block(hidden[-1], cond))
            seen.append(hidden)
        share = (times[2] - times[0]) / (times[1] - times[0])
        foreseen = torch.lerp(seen[0][1], seen[1][1], share)
        error = (foreseen - seen[2][1]).abs().mean() / seen[2][1].abs().mean()
        passes = bool(error < threshold)
        rest = [hidden[-1] - hidden[1] for hidden in seen]
        last = seen[2][1] + torch.lerp(rest[0], rest[1], share) if passes else seen[2][-1]
        shift, scale = network.final_modulation(cond).unsqueeze(1).chunk(2, dim=-1)
        normed = torch.nn.functional.layer_norm(last, last.shape[-1:], eps=1e-6)
        v = network.unpatchify(network.final(normed * (scale + 1) + shift))
        alpha, sigma = denoiser.schedule.alpha_sigma(plan.steps[2].log_snr)
        return alpha * states[2].x - sigma * v, passes


def test_each_sample_does_what_its_own_probe_says(denoiser: NetworkDenoiser) -> None:
    threshold = middle(denoiser, {}, {}, order=1)
    plan = compiled(denoiser, {}, {}, {"gate": gate(threshold, order=1)})
    state = ended(denoiser, plan)
    assert state.saved is not None
    passed = []
    for row in range(COUNT):
        expected, passes = gated_explicitly(denoiser, threshold, row)
        torch.testing.assert_close(state.x[row : row + 1], expected, rtol=1e-3, atol=1e-4)
        passed.append(passes)
    assert [saved > 0 for saved in state.saved.tolist()] == passed
    assert 0 < sum(passed) < COUNT


@pytest.mark.parametrize("measure", ["forecast", "change"])
def test_nobody_passes_below_the_least_threshold(measure: str, denoiser: NetworkDenoiser) -> None:
    plain = compiled(denoiser, {}, {}, {})
    closed = compiled(denoiser, *[{"gate": gate(0.0, measure=measure)}] * 3)
    assert closed == plain
    tiny = compiled(denoiser, *[{"gate": gate(1e-9, measure=measure)}] * 3)
    assert tiny.gated
    assert not plain.gated
    state = ended(denoiser, tiny)
    assert torch.equal(state.x, ended(denoiser, plain).x)
    assert state.saved is not None
    assert not state.saved.any()
    assert tiny.macs == plain.macs


@pytest.mark.parametrize("measure", ["forecast", "change"])
@pytest.mark.parametrize("action", ["reuse", "forecast:1", "output:1", "skip"])
def test_all_pass_above_the_largest(action: str, measure: str, denoiser: NetworkDenoiser) -> None:
    covers = {"block.1..block.3": action}
    guided = {"guidance": CFG}
    opened = {"gate": gate(ALWAYS, covers, measure=measure), **guided}
    plan = compiled(denoiser, guided, guided, opened, opened)
    static = compiled(denoiser, guided, guided, *[{"sites": covers, **guided}] * 2)
    state = ended(denoiser, plan)
    torch.testing.assert_close(state.x, ended(denoiser, static).x, rtol=1e-4, atol=1e-5)
    assert state.saved is not None
    assert set((plan.macs - state.saved).tolist()) == {static.macs}


def test_branches_decide_apart(denoiser: NetworkDenoiser) -> None:
    threshold = middle(denoiser, {}, {})
    step = {"gate": gate(threshold), "guidance": CFG}
    plan = compiled(denoiser, {"guidance": CFG}, {"guidance": CFG}, step)
    saved = ended(denoiser, plan).saved
    assert saved is not None
    saves = plan.steps[2].branches[0].gate
    assert saves is not None
    assert set((saved / saves.saves).tolist()) == {0.0, 1.0, 2.0}


def test_a_sample_does_not_depend_on_its_neighbours(denoiser: NetworkDenoiser) -> None:
    threshold = middle(denoiser, {}, {})
    plan = compiled(denoiser, {}, {}, *[{"gate": gate(threshold, order=1)}] * 3)
    together = ended(denoiser, plan)
    assert together.saved is not None
    for rows in (range(3, 7), range(10, COUNT)):
        apart = ended(denoiser, plan, rows)
        assert apart.saved is not None
        assert torch.equal(apart.saved, together.saved[list(rows)])
        torch.testing.assert_close(apart.x, together.x[list(rows)], rtol=1e-4, atol=1e-5)


def test_a_gate_without_anything_stored_computes(denoiser: NetworkDenoiser) -> None:
    first = compiled(denoiser, {"gate": gate(ALWAYS)}, {})
    assert first == compiled(denoiser, {}, {})
    # The probe was not computed before, so the gate cannot tell.
    unknown = compiled(denoiser, {"sites": {"block.0": "skip"}}, {"gate": gate(ALWAYS)})
    assert not unknown.gated
    # Nor is it computed now.
    reused = {"sites": {"block.0": "reuse"}}
    assert compiled(denoiser, {}, {**reused, "gate": gate(ALWAYS)}) == compiled(
        denoiser, {}, reused
    )


def test_what_is_pruned_stays_so(denoiser: NetworkDenoiser) -> None:
    covers = {f"block.{i}": "reuse" for i in (1, 2, 3)}
    plan = compiled(denoiser, {}, {"gate": gate(ALWAYS, covers)}, pruned=["block.2"])
    found = plan.steps[1].branches[0].gate
    assert found is not None
    assert {name: str(action) for name, action in found.sites} == {
        "block.1": "reuse",
        "block.2": "skip",
        "block.3": "reuse",
    }
    site = denoiser.sites[0].macs
    assert found.saves == 2 * site
    assert not compiled(denoiser, {}, {"gate": gate(ALWAYS, covers)}, pruned=list(covers)).gated


def test_rows_inside_a_covered_block_keep_their_own_past(denoiser: NetworkDenoiser) -> None:
    """Parts act inside a block that only some samples compute, with features of their own."""
    threshold = middle(denoiser, {}, {})
    covers = {"block.2": "reuse", "block.3": "reuse"}
    acting = {"gate": gate(threshold, covers), "sites": {"block.2.attn": "forecast:2"}}
    plan = compiled(denoiser, {}, {}, {"gate": gate(threshold, covers)}, acting, acting)
    together = ended(denoiser, plan)
    assert together.saved is not None
    assert len(set(together.saved.tolist())) > 1
    for row in range(0, COUNT, 5):
        alone = ended(denoiser, plan, [row])
        torch.testing.assert_close(alone.x, together.x[row : row + 1], rtol=1e-3, atol=1e-4)


def test_measured_multiply_accumulates_are_the_counters(denoiser: NetworkDenoiser) -> None:
    threshold = middle(denoiser, {}, {})
    step = {"gate": gate(threshold, order=1), "guidance": CFG}
    plan = compiled(denoiser, {"guidance": CFG}, {}, step, step, {"sites": {"block.1": "reuse"}})
    with count_macs() as counter:
        state = ended(denoiser, plan)
    assert state.saved is not None
    assert len(set(state.saved.tolist())) > 1
    executed = plan.macs * COUNT - int(state.saved.sum())
    assert counter.total == executed


def test_nothing_is_left_behind_when_a_gate_fails(denoiser: NetworkDenoiser) -> None:
    plan = compiled(denoiser, {}, {"gate": gate(ALWAYS)})
    branches = plan.steps[1].branches
    with pytest.raises(KeyError):  # nothing is stored yet
        denoiser.denoise(
            torch.zeros(2, 1, 8, 8),
            500.0,
            torch.zeros(2, dtype=torch.int64),
            branches=branches,
            memory=plan.new_memory(2),
        )
    assert not [n for n, m in denoiser.network.named_modules() if "forward" in vars(m)]


# -- the memory of rows -------------------------------------------------------------------------


@given(seed=st.integers(0, 10**6), keep=st.integers(1, 4), order=st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_rows_remember_what_each_would_alone(seed: int, keep: int, order: int) -> None:
    """Against one plain memory for each row."""
    generator = torch.Generator().manual_seed(seed)
    count = 5
    rows_at_once = RowMemory({"site": keep}, count)
    alone = [FeatureMemory({"site": keep}) for _ in range(count)]
    for coordinate in (900.0, 700.0, 690.0, 690.0, 300.0):
        first = coordinate == 900.0
        chosen = torch.rand(count, generator=generator) < (2.0 if first else 0.6)
        rows = chosen.nonzero()[:, 0]
        feature = torch.randn(len(rows), 3, generator=generator, dtype=torch.float64)
        rows_at_once.put(Put("cond", "site", coordinate, feature, None if first else rows))
        for row, value in zip(rows.tolist(), feature, strict=True):
            alone[row].put(Put("cond", "site", coordinate, value))
    asked = torch.tensor([3, 0, 4])
    onto = torch.ones(3, 3, dtype=torch.float64)
    found = rows_at_once.get(Lookup("cond", "site", 120.0, order), onto=onto, rows=asked)
    for row, value in zip(asked.tolist(), found, strict=True):
        expected = 1 + alone[row].get(Lookup("cond", "site", 120.0, order))
        torch.testing.assert_close(value, expected, rtol=1e-8, atol=1e-8)
    assert rows_at_once.nbytes == keep * count * 3 * 8
    with pytest.raises(KeyError):
        rows_at_once.get(Lookup("uncond", "site", 1.0))


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"probe": "block.9"}, "steps[1].gate.probe: unknown site 'block.9'; did you mean"),
        ({"probe": "block.0..block.1"}, "gate.probe: 'block.0..block.1' is a range; name one site"),
        ({"covers": {"blok.1": "reuse"}}, "steps[1].gate.covers: unknown site 'blok.1'"),
        ({"covers": {"block.0": "reuse"}}, "'block.0' does not come after the probe 'block.0'"),
        ({"covers": {"block.0.mlp": "reuse"}}, "'block.0.mlp' does not come after the probe"),
        ({"covers": {}}, "steps[1].gate.covers: "),
        ({"covers": {"block.1": "reus"}}, "unknown site action 'reus'; valid: reuse, skip"),
        ({"threshold": -1}, "steps[1].gate.threshold: "),
        ({"order": 5}, "steps[1].gate.order: "),
        ({"order": 1, "measure": "change"}, "'order' goes with measure 'forecast'"),
        ({"treshold": 1}, "unknown key 'steps[1].gate.treshold'; did you mean 'threshold'"),
    ],
)
def test_gates_that_cannot_be(
    fields: dict[str, Any], message: str, denoiser: NetworkDenoiser
) -> None:
    with pytest.raises(UserError) as caught:
        compiled(denoiser, {}, {"gate": {**gate(0.1), **fields}})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
