"""What is kept of trajectories changes no number, whatever plan comes after whatever other."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.diffusion.classifier import Classifier
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.sampling.call_cache import (
    AUTO_BYTES,
    CallCache,
    Recaller,
    make_call_cache,
)
from autosearch.diffusion.sampling.call_keys import call_keys, calls_of
from autosearch.diffusion.sampling.sampler import State, last_state
from autosearch.recipe import Gate, Guidance, Step
from autosearch.spaces import (
    Cache,
    CacheInterval,
    Correction,
    Forecast,
    GateChoice,
    GuidanceChoice,
    GuidanceScales,
    HeadSets,
    NamedRecipes,
    Prune,
    SolverChoice,
    Space,
    Timesteps,
)

COUNT = 3
TIMES = (900.0, 700.0, 500.0, 300.0, 100.0)


class Linear(Classifier):
    """Classes by single pixels."""

    macs = 5

    def logits(self, data: Tensor) -> Tensor:
        return data.flatten(1)[:, :5]


@pytest.fixture(scope="module")
def dit(random_dit: Callable[..., Denoiser]) -> Denoiser:
    denoiser = random_dit(depth=3)
    denoiser.classifier = Linear()
    return denoiser


def sampled(
    denoiser: Denoiser, plan: Plan, store: CallCache | None, *, seed: int = 0
) -> tuple[State, int]:
    """The end of a plan, and the multiply-accumulates that were avoided."""
    indices = range(COUNT)

    def noise(k: int) -> Tensor:
        drawn = draw(seed, Stream.SEARCH, indices, denoiser.sample_shape, k=k)
        return drawn.to(denoiser.dtype)

    recall = None
    if store is not None:
        recall = Recaller(store, calls_of(plan, denoiser), seed, device=denoiser.device)
    condition = labels(indices, denoiser.classes) if denoiser.classes else None
    with torch.inference_mode():
        state = last_state(denoiser, plan, noise(0), condition, step_noise=noise, recall=recall)
    return state, 0 if recall is None else recall.avoided


def same(a: State, b: State) -> bool:
    if a.saved is not None and b.saved is not None and not a.saved.equal(b.saved):
        return False
    return (a.saved is None) == (b.saved is None) and torch.equal(a.x, b.x)


def compiled(denoiser: Denoiser, *changes: dict[str, Any], times: Sequence[float] = TIMES) -> Plan:
    """A plan of DDIM steps at some times, the first ones changed."""
    all_changes = (*changes, *[{}] * (len(times) - len(changes)))
    steps = [Step(time=time, **change) for time, change in zip(times, all_changes, strict=True)]
    recipe = baseline(f"ddim@{len(steps)}", denoiser)
    return compile_recipe(recipe.model_copy(update={"steps": steps}), denoiser)


def spaces(denoiser: Denoiser) -> dict[str, Space]:
    def named(*names: str) -> NamedRecipes:
        return NamedRecipes(denoiser, recipes=names)

    def times() -> Timesteps:
        return Timesteps(denoiser, steps=[2, 5])

    everything = SolverChoice(
        denoiser, eta=1.0, compensation=0.5, correctors=["none", "pseudo", "implicit"]
    )
    plain = SolverChoice(denoiser, orders=[1, 2], correctors=["none"])
    three = ["cfg", "cfgpp", "pag", "weak", "classifier"]
    families = {
        "solver": [times(), everything],
        "correction": [named("dpmpp_2m@4", "unipc@4"), Correction(denoiser)],
        "cache": [times(), plain, Cache(denoiser, actions=["reuse", "skip", "forecast:1"])],
        "forecast": [times(), Forecast(denoiser)],
        "interval": [named("ddim@5", "dpmpp_2m@5"), CacheInterval(denoiser, warmup=[1, 2])],
        "gate": [
            named("ddim@5", "dpmpp_2m@5", "heun@3"),
            GateChoice(denoiser, threshold=[0.05, 2.0], warmup=[1, 2], without=0.3),
        ],
        "guidance": [times(), GuidanceChoice(denoiser, rules=three), Cache(denoiser)],
        "scales": [named("ddim@4", "dpmpp_2m@4"), GuidanceScales(denoiser, pieces=3)],
        "heads": [named("ddim@3"), HeadSets(denoiser, scale=[1.0, 3.0])],
        "prune": [times(), Prune(denoiser)],
    }
    base = baseline("ddim@4", denoiser)
    return {name: Space(denoiser, found, base) for name, found in families.items()}


NAMES = (
    *("solver", "correction", "cache", "forecast", "interval"),
    *("gate", "guidance", "scales", "heads", "prune"),
)


def relatives(space: Space, rng: np.random.Generator, count: int) -> list[Plan]:
    """Plans of which most have much in common."""
    genomes = [space.sample(rng)]
    while len(genomes) < count:
        parent = genomes[int(rng.integers(len(genomes)))]
        kind = rng.random()
        if kind < 0.2:
            genomes.append(space.sample(rng))
        elif kind < 0.6:
            other = genomes[int(rng.integers(len(genomes)))]
            mutant = space.mutate(other, rng)
            cut = int(rng.integers(len(parent["steps"]) + 1))
            steps = [*parent["steps"][:cut], *mutant["steps"][cut:]]
            genomes.append(space.repair({**mutant, "steps": steps}))
        else:
            genomes.append(space.mutate(parent, rng))
    return [space.plan(genome) for genome in genomes]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_no_number_depends_on_what_came_before(dit: Denoiser, name: str, seed: int) -> None:
    plans = relatives(spaces(dit)[name], np.random.default_rng(seed), 6)
    sample = COUNT * 64 * 4
    stores = [
        CallCache(10**9),
        CallCache(10**9, widest=8.0),
        CallCache(int(12.5 * sample)),
    ]
    for plan in plans:
        alone, _ = sampled(dit, plan, None)
        for store in stores:
            assert same(sampled(dit, plan, store)[0], alone)
            assert store.nbytes <= store.max_bytes
    # Everything was kept, so that nothing is run again.
    for plan in plans:
        again, avoided = sampled(dit, plan, stores[0])
        assert same(again, sampled(dit, plan, None)[0])
        saved = 0 if again.saved is None else int(again.saved.sum())
        assert avoided == COUNT * sum(c.macs for c in calls_of(plan, dit)) - saved


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6))
@pytest.mark.parametrize("model", ["vp", "cosine", "edm", "flow"])
def test_solvers_go_on_from_what_was_kept(make, model: str, seed: int) -> None:
    denoiser = make(model)
    solver = SolverChoice(
        denoiser, eta=1.0, compensation=0.5, correctors=["none", "pseudo", "implicit"]
    )
    space = Space(
        denoiser, [Timesteps(denoiser, steps=[2, 8]), solver], baseline("ddim@4", denoiser)
    )
    store = CallCache(10**9)
    for plan in relatives(space, np.random.default_rng(seed), 8):
        assert same(sampled(denoiser, plan, store)[0], sampled(denoiser, plan, None)[0])


def test_a_later_step_does_not_change_what_came_before_it(dit: Denoiser) -> None:
    first = compiled(dit, *[{"order": 2}] * 5)
    keys = call_keys(first)
    assert len(set(keys)) == len(keys) == 5
    shared = {
        "the last time": (4, compiled(dit, *[{"order": 2}] * 5, times=(*TIMES[:4], 90.0))),
        "the last order": (5, compiled(dit, *[{"order": 2}] * 4)),
        "an order": (3, compiled(dit, {}, {"order": 2}, {"order": 1}, {"order": 2})),
        "guidance": (2, compiled(dit, {}, {"order": 2}, {"guidance": [cfg(3.0)]})),
        "nothing": (0, compiled(dit, times=(901.0, *TIMES[1:]))),
    }
    for what, (count, plan) in shared.items():
        other = call_keys(plan)
        assert (
            [a == b for a, b in zip(keys, other, strict=True)].index(False) == count
            if (count < 5)
            else keys == other
        ), what


def cfg(scale: float) -> Guidance:
    return Guidance(rule="cfg", scale=scale)


def test_guidance_of_another_scale_asks_for_nothing_new(dit: Denoiser) -> None:
    store = CallCache(10**9)
    plans = [compiled(dit, *[{}] * 4, {"guidance": [cfg(scale)]}) for scale in (2.0, 5.0)]
    sampled(dit, plans[0], store)
    state, avoided = sampled(dit, plans[1], store)
    assert avoided == COUNT * plans[1].macs == COUNT * 6 * dit.macs
    assert same(state, sampled(dit, plans[1], None)[0])


def test_noise_model_and_batch_are_part_of_the_key(dit: Denoiser) -> None:
    store = CallCache(10**9)
    plan = compiled(dit)
    sampled(dit, plan, store, seed=1)
    state, avoided = sampled(dit, plan, store, seed=2)
    assert avoided == 0
    assert same(state, sampled(dit, plan, None, seed=2)[0])


def test_digits_beyond_those_of_an_identity_count(dit: Denoiser) -> None:
    plan = compiled(dit)
    moved = plan.steps[2].log_snr * (1 + 1e-13)
    steps = list(plan.steps)
    steps[1] = replace(steps[1], next_log_snr=moved)
    steps[2] = replace(steps[2], log_snr=moved)
    other = replace(plan, steps=tuple(steps))
    assert other.identity == plan.identity
    assert [a == b for a, b in zip(call_keys(plan), call_keys(other), strict=True)] == [
        *[True] * 2,
        *[False] * 3,
    ]


def test_features_that_are_looked_up_later_are_kept_with_a_call(dit: Denoiser) -> None:
    """Reuse at step 1 looks at step 0, that at step 4 at step 3."""
    reuse = {"sites": {"block.1": "reuse"}}
    plan = compiled(dit, {}, reuse, {}, {}, reuse)
    calls = calls_of(plan, dit)
    assert [call.wanted for call in calls] == [{"block.1"}, set(), set(), {"block.1"}, set()]
    assert [call.looks for call in calls] == [
        set(),
        {(0, "block.1")},
        set(),
        set(),
        {(3, "block.1")},
    ]
    line = compiled(dit, {}, {}, {}, {"sites": {"block.1": "forecast:1"}})
    assert calls_of(line, dit)[3].looks == {(1, "block.1"), (2, "block.1")}


def test_a_state_of_many_features_is_not_kept_by_default(dit: Denoiser) -> None:
    """One of these features is 4.5 times a sample."""
    reuse = {"sites": {"block.1": "reuse", "block.2": "reuse"}}
    cached = compiled(dit, {}, reuse, {}, reuse, {})
    wide, narrow = make_call_cache(10**9), make_call_cache("auto")
    assert wide is not None
    assert narrow is not None
    for store in (wide, narrow):
        sampled(dit, cached, store)
    assert narrow.max_bytes == AUTO_BYTES
    sample = COUNT * 64 * 4
    assert narrow.nbytes == 5 * sample
    assert wide.nbytes > narrow.nbytes + 2 * 2 * 4 * sample
    # Parts after four calls, and step 4 is computed: nothing is looked up in what both have.
    other = compiled(dit, {}, reuse, {}, {**reuse, "order": 2}, {"order": 2})
    for store in (wide, narrow):
        state, avoided = sampled(dit, other, store)
        assert same(state, sampled(dit, other, None)[0])
        assert avoided == COUNT * sum(call.macs for call in calls_of(other, dit)[:4])
    # Parts after three, and step 3 looks at what step 2 stored, or would have.
    late = compiled(dit, {}, reuse, {}, reuse, {}, times=(*TIMES[:3], 310.0, 100.0))
    for store, known in ((wide, (0, 1, 2)), (narrow, (0, 1))):
        state, avoided = sampled(dit, late, store)
        assert same(state, sampled(dit, late, None)[0])
        assert avoided == COUNT * sum(calls_of(late, dit)[i].macs for i in known)
    plain = compiled(dit, times=(*TIMES[:1], 650.0))
    assert sampled(dit, plain, narrow)[1] == COUNT * dit.macs


def test_what_is_missing_for_a_later_look_is_run_again(dit: Denoiser) -> None:
    """Three steps are shared, and step 3 looks at the feature of step 2, which was not kept."""
    reuse = {"sites": {"block.1": "reuse"}}
    store = CallCache(10**9)
    sampled(dit, compiled(dit), store)
    plan = compiled(dit, {}, {}, {}, reuse)
    state, avoided = sampled(dit, plan, store)
    assert same(state, sampled(dit, plan, None)[0])
    assert avoided == COUNT * 2 * dit.macs
    # From now on it is known, and the plan without reuse has not lost anything.
    last = compiled(dit, {}, {}, {}, {**reuse, "order": 2})
    assert sampled(dit, last, store)[1] == COUNT * sum(c.macs for c in calls_of(last, dit)[:4])
    assert sampled(dit, compiled(dit), store)[1] == COUNT * 5 * dit.macs


def test_gates_of_a_known_call_have_decided(dit: Denoiser) -> None:
    gate = Gate(probe="block.0", threshold=0.9, covers={"block.1": "reuse", "block.2": "reuse"})
    gated = [{}, {"gate": gate}, {"gate": gate}, {"gate": gate}]
    store = CallCache(10**9)
    first, _ = sampled(dit, compiled(dit, *gated), store)
    assert first.saved is not None
    assert int(first.saved.sum()) > 0
    plan = compiled(dit, *gated, times=(*TIMES[:3], 310.0, 100.0))
    alone, _ = sampled(dit, plan, None)
    state, avoided = sampled(dit, plan, store)
    assert same(state, alone)
    assert 0 < avoided < COUNT * sum(call.macs for call in calls_of(plan, dit)[:3])


def test_kept_tensors_are_nobody_elses(dit: Denoiser) -> None:
    store = CallCache(10**9)
    plan = compiled(dit)
    calls = calls_of(plan, dit)
    given = {"cond": torch.ones(COUNT, 1, 8, 8)}
    recall = Recaller(store, calls, 0, device=torch.device("cpu"))
    recall(lambda memory: given, None)
    given["cond"].fill_(7.0)
    for _ in range(2):
        again = Recaller(store, calls, 0, device=torch.device("cpu"))
        out = again(lambda memory: given, None)
        assert bool((out["cond"] == 1).all())
        out["cond"].zero_()


def test_the_oldest_go_first_and_the_bound_holds(dit: Denoiser) -> None:
    sample = COUNT * 64 * 4
    store = CallCache(3 * sample)
    plans = [compiled(dit, times=(time, 500.0)) for time in (900.0, 800.0)]
    sampled(dit, plans[0], store)
    assert (len(store), store.nbytes) == (2, 2 * sample)
    sampled(dit, plans[1], store)
    assert (len(store), store.nbytes) == (3, 3 * sample)
    # The first call of the first plan was dropped, its second one is still known.
    assert sampled(dit, plans[0], store)[1] == COUNT * dit.macs
    assert store.nbytes == 3 * sample
    store.clear()
    assert (len(store), store.nbytes) == (0, 0)
    tiny = CallCache(sample - 1)
    state, _ = sampled(dit, plans[0], tiny)
    assert len(tiny) == 0
    assert same(state, sampled(dit, plans[0], None)[0])


def test_no_room_in_memory_is_no_failure(dit: Denoiser, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CallCache(10**9)
    sampled(dit, compiled(dit), store)

    def full(*_: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(store, "keep", full)
    other = compiled(dit, times=(*TIMES[:4], 50.0))
    assert same(sampled(dit, other, store)[0], sampled(dit, other, None)[0])
    assert len(store) == 0


def test_off_means_that_nothing_is_kept() -> None:
    assert make_call_cache("off") is None
    store = make_call_cache(1000)
    assert store is not None
    assert (store.max_bytes, store.widest) == (1000, None)


def test_every_call_of_the_network_has_its_key(dit: Denoiser) -> None:
    implicit = compiled(dit, *[{"order": 2, "corrector": "implicit"}] * 5)
    analytic = compiled(dit, {"evaluate": "zero_x0"}, {"order": 2})
    for plan, count in ((implicit, 9), (analytic, 4)):
        assert len(set(call_keys(plan))) == len(calls_of(plan, dit)) == plan.nfe == count
