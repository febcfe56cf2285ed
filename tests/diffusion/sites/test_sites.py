"""The mechanism of sites, on a small network whose weights are all random."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import model_key
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.schedules import VariancePreserving
from autosearch.diffusion.sites.branches import COND, UNCOND, Branch
from autosearch.diffusion.sites.interception import intercepted
from autosearch.diffusion.sites.memory import FeatureMemory, Lookup, Put, extrapolate
from autosearch.diffusion.sites.sites import Site, SiteTable
from autosearch.recipe import Recipe
from autosearch.recipe.actions import Action

WIDTH, CLASSES, DEPTH = 6, 3, 3
REUSE, SKIP = Action("reuse"), Action("skip")
PARTS = [f"block.{i}.{part}" for i in range(DEPTH) for part in ("attn", "mlp")]
BLOCKS = [f"block.{i}" for i in range(DEPTH)]
NAMES = [name for i in range(DEPTH) for name in (BLOCKS[i], *PARTS[2 * i : 2 * i + 2])]


class Block(nn.Module):
    """Residual, modulated by the conditioning, with two children."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Linear(WIDTH, 2 * WIDTH)
        self.attn = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh())
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 9), nn.Tanh(), nn.Linear(9, WIDTH))

    def forward(self, hidden: Tensor, conditioning: Tensor) -> Tensor:
        first, second = self.gates(conditioning).chunk(2, dim=-1)
        hidden = hidden + first * self.attn(hidden)
        return hidden + second * self.mlp(hidden)


class Network(nn.Module):
    """``network(x [N, 4], t [N], labels [N])``."""

    blocks: Any

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, WIDTH)
        self.time = nn.Linear(1, WIDTH)
        self.label = nn.Embedding(CLASSES + 1, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.last = nn.Linear(WIDTH, 4)

    def conditioning(self, t: Tensor, labels: Tensor) -> Tensor:
        return torch.tanh(self.time(t[:, None] / 500 - 1) + self.label(labels))

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        conditioning = self.conditioning(t, labels)
        hidden = self.embed(x)
        for block in self.blocks:
            hidden = block(hidden, conditioning)
        return self.last(hidden)


def make_network() -> Network:
    torch.manual_seed(4)
    network = Network().double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.6)
    return network


def wrap(network: Network) -> NetworkDenoiser:
    sites: list[Site] = []
    modules: dict[str, nn.Module] = {}
    for i, block in enumerate(network.blocks):
        sites.append(Site(f"block.{i}", 200, WIDTH, residual=True))
        sites.append(Site(f"block.{i}.attn", 60, WIDTH, parent=f"block.{i}"))
        sites.append(Site(f"block.{i}.mlp", 110, WIDTH, parent=f"block.{i}"))
        modules |= {f"block.{i}": block, f"block.{i}.attn": block.attn, f"block.{i}.mlp": block.mlp}
    return NetworkDenoiser(
        network,
        schedule=VariancePreserving(),
        prediction="v",
        sample_shape=(4,),
        classes=CLASSES,
        null_label=CLASSES,
        sites=sites,
        modules=modules,
        heads={},
        macs=700,
        weights="none",
    )


@pytest.fixture
def denoiser() -> NetworkDenoiser:
    return wrap(make_network())


def inside(denoiser: NetworkDenoiser) -> Network:
    assert isinstance(denoiser.network, Network)
    return denoiser.network


def inputs(key: int, count: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(key)
    x = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    return x, torch.randint(CLASSES, (count,), generator=generator)


def memory_of(names: list[str], held: int = 3) -> FeatureMemory:
    return FeatureMemory(dict.fromkeys(names, held))


def acting(actions: Mapping[str, Action], *branches: Branch) -> list[Branch]:
    """The branches (one, conditional, by default) with these actions."""
    sites = tuple(actions.items())
    return [dataclasses.replace(branch, sites=sites) for branch in branches or (COND,)]


def times_like(x: Tensor, time: float) -> Tensor:
    return torch.full((len(x),), time, dtype=torch.float64)


def test_computing_everywhere_is_the_plain_network(denoiser: NetworkDenoiser) -> None:
    x, labels = inputs(0)
    plain = denoiser.network(x, times_like(x, 300.0), labels)
    assert torch.equal(denoiser.denoise(x, 300.0, labels)["cond"], plain)
    recording = denoiser.denoise(x, 300.0, labels, memory=memory_of(NAMES))["cond"]
    assert torch.equal(recording, plain)


@pytest.mark.parametrize("action", [REUSE, SKIP, Action("forecast", 1), Action("forecast", 2)])
@pytest.mark.parametrize("name", NAMES)
def test_each_action_changes_the_output(
    name: str, action: Action, denoiser: NetworkDenoiser
) -> None:
    memory = memory_of([name])
    for step, time in enumerate((900.0, 700.0, 500.0)):
        x, labels = inputs(step)
        denoiser.denoise(x, time, labels, memory=memory)
    x, labels = inputs(9)
    computed = denoiser.denoise(x, 200.0, labels)["cond"]
    acted = denoiser.denoise(x, 200.0, labels, branches=acting({name: action}), memory=memory)[
        "cond"
    ]
    assert acted.isfinite().all()
    assert (acted - computed).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_reuse_right_after_computing_reproduces(name: str, denoiser: NetworkDenoiser) -> None:
    x, labels = inputs(1)
    memory = memory_of([name])
    computed = denoiser.denoise(x, 400.0, labels, memory=memory)["cond"]
    for action in (REUSE, Action("forecast", 0)):
        again = denoiser.denoise(x, 400.0, labels, branches=acting({name: action}), memory=memory)[
            "cond"
        ]
        # A residual site stores a difference, whose sum has its own last digit.
        torch.testing.assert_close(again, computed, rtol=1e-13, atol=1e-13)


def test_forecast_of_order_0_is_reuse(denoiser: NetworkDenoiser) -> None:
    memory = memory_of(NAMES)
    for step, time in enumerate((900.0, 650.0)):
        x, labels = inputs(step)
        denoiser.denoise(x, time, labels, memory=memory)
    outputs = [
        denoiser.denoise(
            x, 300.0, labels, branches=acting(dict.fromkeys(PARTS, action)), memory=memory
        )["cond"]
        for action in (REUSE, Action("forecast", 0))
    ]
    assert torch.equal(*outputs)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_forecast_is_exact_for_polynomials_in_time(order: int) -> None:
    """Also on uneven times; one order less is not."""
    coefficients = torch.randn(
        order + 1, 5, generator=torch.Generator().manual_seed(order)
    ).double()

    class Polynomial(nn.Module):
        def forward(self, hidden: Tensor, t: float) -> Tensor:
            return sum(c * (t / 100) ** i for i, c in enumerate(coefficients)) + 0 * hidden

    module, hidden = Polynomial(), torch.zeros(1, 5).double()
    memory = FeatureMemory({"site": order + 1})

    def run(t: float, action: Action) -> Tensor:
        with intercepted(
            {"site": module},
            SiteTable([Site("site", 1, 5)]),
            branches=acting({} if action.kind == "compute" else {"site": action}),
            memory=memory,
            coordinate=t,
        ):
            return module(hidden, t)

    for t in (990.0, 740.0, 700.0, 455.0, 300.0):
        run(t, Action("compute"))
    truth = module(hidden, 120.0)
    torch.testing.assert_close(run(120.0, Action("forecast", order)), truth, rtol=1e-9, atol=1e-9)
    if order:
        lower = run(120.0, Action("forecast", order - 1))
        assert (lower - truth).abs().max() > 1e-2


@pytest.mark.parametrize("distance", [0.25, 0.5, 1.0])
def test_forecast_is_newtons_form_on_even_times(distance: float) -> None:
    """``F + j d1 + j (j + 1) / 2 d2``; the first two terms are TaylorSeer's of order 1."""
    oldest, previous, newest = (torch.tensor([v]).double() for v in (2.0, 3.5, 1.0))
    entries = [(900.0, oldest), (800.0, previous), (700.0, newest)]
    first, second = newest - previous, newest - 2 * previous + oldest
    at = 700.0 - 100.0 * distance
    linear = newest + distance * first
    torch.testing.assert_close(extrapolate(entries[1:], at), linear)
    expected = linear + distance * (distance + 1) / 2 * second
    torch.testing.assert_close(extrapolate(entries, at), expected)


@pytest.mark.parametrize("removed", range(DEPTH))
def test_skipping_a_block_is_the_network_without_it(
    removed: int, denoiser: NetworkDenoiser
) -> None:
    x, labels = inputs(3)
    smaller = copy.deepcopy(inside(denoiser))
    del smaller.blocks[removed]
    expected = smaller(x, times_like(x, 250.0), labels)
    got = denoiser.denoise(x, 250.0, labels, branches=acting({f"block.{removed}": SKIP}))["cond"]
    assert torch.equal(got, expected)


def test_skipping_the_parts_gives_zeros(denoiser: NetworkDenoiser) -> None:
    x, labels = inputs(3)
    skipped = denoiser.denoise(x, 250.0, labels, branches=acting(dict.fromkeys(PARTS, SKIP)))[
        "cond"
    ]
    network = inside(denoiser)
    assert torch.equal(skipped, network.last(network.embed(x)))


def leftovers(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if "forward" in vars(module)]


def test_nothing_is_left_behind(denoiser: NetworkDenoiser) -> None:
    x, labels = inputs(0)
    actions = {"block.0": SKIP, "block.1.attn": SKIP}
    denoiser.denoise(x, 100.0, labels, branches=acting(actions), memory=memory_of(NAMES))
    assert leftovers(denoiser.network) == []


def test_nothing_is_left_behind_after_an_exception(denoiser: NetworkDenoiser) -> None:
    x, labels = inputs(0)
    plain = denoiser.denoise(x, 100.0, labels)["cond"]
    actions = {"block.0": SKIP, "block.2.mlp": REUSE}
    with pytest.raises(KeyError):  # nothing is stored yet
        denoiser.denoise(x, 100.0, labels, branches=acting(actions), memory=memory_of(NAMES))
    assert leftovers(denoiser.network) == []
    assert torch.equal(denoiser.denoise(x, 100.0, labels)["cond"], plain)


def test_the_hook_of_another_library_is_called_and_put_back(denoiser: NetworkDenoiser) -> None:
    x, labels = inputs(0)
    module = inside(denoiser).blocks[1].attn
    original, calls = module.forward, []

    def hook(hidden: Tensor) -> Tensor:
        calls.append(len(hidden))
        return original(hidden)

    module.forward = hook
    denoiser.denoise(x, 100.0, labels, memory=memory_of(NAMES))
    assert calls == [len(x)]
    assert module.forward is hook


def test_branches_together_equal_branches_apart(denoiser: NetworkDenoiser) -> None:
    together, conditional, unconditional = (memory_of(NAMES) for _ in range(3))
    forecast = {"block.0.attn": Action("forecast", 1), "block.1": REUSE, "block.2.mlp": REUSE}
    for step, time in enumerate((900.0, 600.0, 300.0)):
        x, labels = inputs(step)
        actions = forecast if step == 2 else {}
        both = denoiser.denoise(
            x, time, labels, branches=acting(actions, COND, UNCOND), memory=together
        )
        for branch, memory in ((COND, conditional), (UNCOND, unconditional)):
            alone = denoiser.denoise(
                x, time, labels, branches=acting(actions, branch), memory=memory
            )
            name = branch.name
            torch.testing.assert_close(both[name], alone[name], rtol=1e-12, atol=1e-12)
        assert (both["cond"] - both["uncond"]).abs().max() > 1e-3


def test_memory_of_one_branch_does_not_serve_another(denoiser: NetworkDenoiser) -> None:
    x, labels = inputs(0)
    memory = memory_of(["block.1"])
    denoiser.denoise(x, 900.0, labels, branches=(COND,), memory=memory)
    with pytest.raises(KeyError):
        denoiser.denoise(
            x, 800.0, labels, branches=acting({"block.1": REUSE}, UNCOND), memory=memory
        )


def test_memory_holds_no_more_than_is_kept(denoiser: NetworkDenoiser) -> None:
    memory = FeatureMemory({"block.0": 2, "block.1.mlp": 1})
    for step in range(5):
        x, labels = inputs(step)
        denoiser.denoise(x, 900.0 - step, labels, memory=memory)
    assert memory.nbytes == 3 * 5 * WIDTH * 8


def test_a_second_feature_at_one_time_takes_the_place_of_the_first() -> None:
    """An implicit corrector evaluates twice at one time; forecasts see the second."""
    memory = FeatureMemory({"site": 2})
    for at, value in ((900.0, 1.0), (700.0, 5.0), (700.0, 2.0)):
        memory.put(Put("cond", "site", at, torch.tensor([value])))
    assert memory.get(Lookup("cond", "site", 700.0, 0)).item() == 2.0
    assert memory.get(Lookup("cond", "site", 500.0, 1)).item() == pytest.approx(3.0)
    assert memory.nbytes == 2 * 4


def test_implicit_correctors_store_what_they_compute_last(denoiser: NetworkDenoiser) -> None:
    x, labels = inputs(6)
    model = model_key(denoiser).model_dump()
    steps = [
        {"time": 900},
        {"time": 700, "corrector": "implicit"},
        {"time": 500},
        {"time": 300, "sites": {"block.1.mlp": "forecast:1"}},
    ]
    data = {"version": 1, "model": model, "steps": steps}
    plan = compile_recipe(Recipe.from_dict(data), denoiser)
    assert (plan.nfe, plan.macs) == (5, 5 * 700 - 110)
    seen: list[Tensor] = []
    stored: list[tuple[float, Tensor]] = []
    original = denoiser.denoise

    def recording(x: Tensor, t: float, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        result = original(x, t, *args, **kwargs)
        features = kwargs["memory"]._stored["cond", "block.1.mlp"]
        stored[:] = list(features)
        seen.append(x)
        return result

    denoiser.denoise = recording  # type: ignore[method-assign]
    sample(denoiser, plan, x, labels)
    assert [at for at, _ in stored] == [700.0, 500.0]
    # The feature of time 500 is that of the corrected state, asked after the predicted one.
    memory = memory_of(["block.1.mlp"])
    original(seen[3], 500.0, labels, memory=memory)
    torch.testing.assert_close(memory.get(Lookup("cond", "block.1.mlp", 500.0, 0)), stored[1][1])
    assert not torch.equal(seen[2], seen[3])


def recipe_for(denoiser: NetworkDenoiser, sites: list[dict[str, str]]) -> Recipe:
    times = [900 - 200 * i for i in range(len(sites))]
    steps = [{"time": time, "sites": s} for time, s in zip(times, sites, strict=True)]
    model = model_key(denoiser).model_dump()
    return Recipe.from_dict({"version": 1, "model": model, "steps": steps})


@pytest.fixture
def explicit() -> Callable[[NetworkDenoiser, list[dict[str, str]], Tensor, Tensor], Tensor]:
    """A slow sampler that spells out what reuse and skip of parts mean, without the mechanism."""

    def run(
        denoiser: NetworkDenoiser, sites: list[dict[str, str]], x: Tensor, labels: Tensor
    ) -> Tensor:
        network, schedule = inside(denoiser), denoiser.schedule
        stored: dict[str, Tensor] = {}
        times = [900.0 - 200 * i for i in range(len(sites))]
        for i, time in enumerate(times):
            conditioning = network.conditioning(times_like(x, time), labels)
            hidden = network.embed(x)
            for b, block in enumerate(network.blocks):
                gates = block.gates(conditioning).chunk(2, dim=-1)
                for gate, part in zip(gates, ("attn", "mlp"), strict=True):
                    name = f"block.{b}.{part}"
                    match sites[i].get(name):
                        case None:
                            stored[name] = getattr(block, part)(hidden)
                            hidden = hidden + gate * stored[name]
                        case "reuse":
                            hidden = hidden + gate * stored[name]
                        case "skip":
                            pass
            alpha, sigma = schedule.alpha_sigma(schedule.log_snr(time))
            data = alpha * x - sigma * network.last(hidden)
            noise = (x - alpha * data) / sigma
            if i + 1 == len(times):
                return data
            alpha, sigma = schedule.alpha_sigma(schedule.log_snr(times[i + 1]))
            x = alpha * data + sigma * noise
        raise AssertionError

    return run


def test_whole_trajectory_equals_an_explicit_one(
    denoiser: NetworkDenoiser,
    explicit: Callable[[NetworkDenoiser, list[dict[str, str]], Tensor, Tensor], Tensor],
) -> None:
    sites = [
        {"block.2.attn": "skip"},
        {"block.0.mlp": "reuse", "block.1.attn": "skip"},
        {"block.0.mlp": "reuse", "block.2.mlp": "reuse", "block.0.attn": "reuse"},
        {"block.1.mlp": "reuse", "block.2.attn": "skip"},
    ]
    x, labels = inputs(6)
    plan = compile_recipe(recipe_for(denoiser, sites), denoiser)
    got = sample(denoiser, plan, x, labels)
    plain = sample(denoiser, compile_recipe(recipe_for(denoiser, [{}] * 4), denoiser), x, labels)
    assert (got - plain).abs().max() > 1e-3
    torch.testing.assert_close(got, explicit(denoiser, sites, x, labels), rtol=1e-10, atol=1e-10)


def test_saved_multiply_accumulates(denoiser: NetworkDenoiser) -> None:
    sites = [
        {},
        {"block.0": "reuse", "block.0.attn": "skip", "block.1.mlp": "forecast:2"},
        {"block.1.attn": "skip", "block.1.mlp": "reuse"},
    ]
    plan = compile_recipe(recipe_for(denoiser, sites), denoiser)
    # The attention inside a reused block is not run in any case.
    assert plan.macs == 700 + (700 - 200 - 110) + (700 - 60 - 110)
    assert plan.forward_equivalents == pytest.approx(plan.macs / 700)
    assert plan.keep == {"block.0": 1, "block.1.mlp": 1}
