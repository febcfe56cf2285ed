"""Plans: what is inert is removed, identity follows what is sampled, costs add up."""

import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, check_compatible, model_key
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.diffusion.sites.branches import COND, Branch
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.diffusion.sites.sites import Site
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Recipe, Step, round_float
from autosearch.recipe.actions import Action


class Stub(Denoiser):
    """Declares two blocks with two parts each; cannot be run."""

    def __init__(
        self,
        schedule: NoiseSchedule | None = None,
        prediction: Prediction = "v",
        *,
        knows_mean: bool = True,
    ) -> None:
        self.data_mean = torch.zeros(4) if knows_mean else None
        self.schedule = schedule or VariancePreserving()
        self.prediction = prediction
        self.sample_shape = (4,)
        self.sites = tuple(
            site
            for b in ("block.0", "block.1")
            for site in (
                Site(b, 100, 8, residual=True),
                Site(f"{b}.attn", 30, 8, parent=b),
                Site(f"{b}.mlp", 50, 12, parent=b),
            )
        )
        self.heads = {}
        self.macs = 260
        self.weights = "stub"

    def denoise(
        self,
        x: Tensor,
        t: float,
        condition: Tensor | None,
        *,
        branches: Sequence[Branch] = (COND,),
        memory: FeatureMemory | None = None,
    ) -> dict[str, Tensor]:
        raise NotImplementedError


def recipe(*steps: Mapping[str, Any], denoiser: Denoiser | None = None, **rest: object) -> Recipe:
    model = model_key(denoiser or Stub()).model_dump()
    return Recipe.from_dict({"version": 1, "model": model, "steps": list(steps), **rest})


def compiled(*steps: Mapping[str, Any], denoiser: Denoiser | None = None, **rest: object) -> Plan:
    denoiser = denoiser or Stub()
    return compile_recipe(recipe(*steps, denoiser=denoiser, **rest), denoiser)


def step(time: float, **fields: object) -> dict[str, Any]:
    assert fields.keys() <= Step.model_fields.keys()
    return {"time": time, **fields}


def same(one: Plan, other: Plan) -> bool:
    assert (one == other) == (one.identity == other.identity)
    return one == other


# -- removal of what is inert ----------------------------------------------------------------


def test_eta_to_the_clean_end_is_inert() -> None:
    assert same(compiled(step(900), step(500, eta=0.7)), compiled(step(900), step(500)))
    assert not compiled(step(900), step(500, eta=0.7)).stochastic
    stochastic = compiled(step(900, eta=0.7), step(500))
    assert stochastic.stochastic
    assert not same(stochastic, compiled(step(900), step(500)))
    assert compiled(step(900), step(500, eta=0.7), end=3).stochastic


def test_actions_inside_a_site_that_is_not_computed_are_inert() -> None:
    inner = {"block.0.attn": "skip", "block.0.mlp": "reuse"}
    for outer in ("skip", "reuse"):
        alone = compiled(step(900), step(500, sites={"block.0": outer}))
        nested = compiled(step(900), step(500, sites={"block.0": outer, **inner}))
        assert same(alone, nested)


def test_nothing_stored_means_compute() -> None:
    for action in ("reuse", "forecast:0", "forecast:2"):
        assert same(compiled(step(900, sites={"block.0": action})), compiled(step(900)))
    # The part was never computed, because its block was skipped.
    skipped = {"block.0": "skip"}
    one = compiled(step(900, sites=skipped), step(500, sites={"block.0.attn": "reuse"}))
    assert same(one, compiled(step(900, sites=skipped), step(500)))


def test_forecast_is_lowered_to_what_is_stored() -> None:
    fields = [step(t, sites={"block.1": "forecast:3"} if t < 700 else {}) for t in (900, 800, 600)]
    assert compiled(*fields).steps[2].branches[0].actions == {"block.1": Action("forecast", 1)}
    fields = [step(t, sites={"block.1": "forecast:3"} if t < 850 else {}) for t in (900, 800, 600)]
    plan = compiled(*fields)
    assert [s.branches[0].actions for s in plan.steps[1:]] == [{"block.1": Action("reuse")}] * 2
    assert plan.keep == {"block.1": 1}


def test_forecast_of_order_0_is_reuse() -> None:
    assert same(
        compiled(step(900), step(500, sites={"block.1": "forecast:0"})),
        compiled(step(900), step(500, sites={"block.1": "reuse"})),
    )


def test_order_of_sites_in_the_recipe_does_not_matter() -> None:
    sites = {"block.1": "reuse", "block.0.attn": "skip", "block.0.mlp": "reuse"}
    backwards = dict(reversed(sites.items()))
    assert same(
        compiled(step(900), step(5, sites=sites)), compiled(step(900), step(5, sites=backwards))
    )


# -- identity --------------------------------------------------------------------------------

SCHEDULES: list[tuple[NoiseSchedule, Prediction]] = [
    (VariancePreserving("cosine"), "noise"),
    (EDM(), "data"),
    (RectifiedFlow(), "flow"),
]


@given(shares=st.lists(st.integers(1, 998), min_size=1, max_size=6, unique=True), data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize(("schedule", "said"), SCHEDULES, ids=["vp", "edm", "flow"])
def test_a_default_log_snr_equals_the_same_written_out(
    schedule: NoiseSchedule, said: Prediction, shares: list[int], data: st.DataObject
) -> None:
    denoiser = Stub(schedule, said)
    span = schedule.first - schedule.last
    times = [schedule.last + span * share / 999 for share in sorted(shares, reverse=True)]
    times = [round_float(time) for time in times]
    spelled = [
        step(time, log_snr=schedule.log_snr(time)) if data.draw(st.booleans()) else step(time)
        for time in times
    ]
    implicit = compiled(*map(step, times), denoiser=denoiser)
    explicit = compiled(*spelled, denoiser=denoiser)
    assert same(implicit, explicit)
    # The plan has all digits of the schedule; the recipe had nine.
    assert explicit.steps[0].log_snr == schedule.log_snr(times[0])


def test_time_1_of_edm_has_no_minus_zero() -> None:
    denoiser = Stub(EDM(), "data")
    assert math.copysign(1, denoiser.schedule.log_snr(1.0)) == -1
    assert same(
        compiled(step(1.0), denoiser=denoiser), compiled(step(1.0, log_snr=0), denoiser=denoiser)
    )


def test_start_scales_that_agree_are_one() -> None:
    vp = [compiled(step(999), start={"scale": scale}) for scale in ("unit", "scheduler", "sigma")]
    assert same(vp[0], vp[1])
    assert not same(vp[0], vp[2])
    flow = Stub(RectifiedFlow(), "flow")
    plans = [
        compiled(step(1), denoiser=flow, start={"scale": scale})
        for scale in ("unit", "scheduler", "sigma")
    ]
    assert len({plan.identity for plan in plans}) == 1
    edm = Stub(EDM(), "data")
    scales = {
        scale: compiled(step(80), denoiser=edm, start={"scale": scale}).start_scale
        for scale in ("unit", "scheduler", "sigma")
    }
    assert scales == {
        "unit": 1,
        "sigma": pytest.approx(80),
        "scheduler": pytest.approx(math.sqrt(6401)),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"time": 501},
        {"log_snr": -0.1},
        {"order": 1},
        {"prediction": "noise"},
        {"form": "taylor"},
        {"form": "unipc_bh1"},
        {"form": "deis_t"},
        {"form": "deis_rho"},
        {"form": "taylor", "relaxation": {"kind": "linear", "coefficient": 0.1}},
        {"form": "taylor", "relaxation": {"kind": "exp", "coefficient": 0.5}},
        {"start_point": -2},
        {"points": [[-3]]},
        {"corrector": "pseudo"},
        {"corrector": "implicit"},
        {"corrector": {"kind": "pseudo", "order": 2}},
        {"eta": 0.5},
        {"clip": 1.0},
        {"sites": {"block.0": "skip"}},
        {"sites": {"block.0": "reuse"}},
    ],
)
def test_identity_sees_every_field(change: dict[str, Any]) -> None:
    before = (step(900), step(700))
    base = compiled(*before, step(500, order=2), step(100), end=4)
    changed = compiled(*before, {**step(500, order=2), **change}, step(100), end=4)
    assert not same(base, changed)


def test_identity_sees_the_analytic_first_step() -> None:
    plans = [
        compiled(step(900, evaluate=how), step(500)) for how in ("network", "zero_x0", "average_x0")
    ]
    assert len({plan.identity for plan in plans}) == 3


def test_weights_do_not_enter_the_identity() -> None:
    """A study has one model; recipes found on other weights of the same kind are the same plan."""
    other = Stub()
    other.weights = "others"
    assert compiled(step(5)).identity == compiled(step(5), denoiser=other).identity


def test_hash_is_the_same_in_every_process() -> None:
    code = (
        "from tests_plan import compiled, step\n"
        "sites = {'block.1': 'forecast:1', 'block.0.attn': 'skip', 'block.0.mlp': 'reuse'}\n"
        "plan = compiled(step(900), step(700, eta=0.5), step(500, sites=sites))\n"
        "print(plan.identity)\n"
    )
    loader = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('tests_plan', {__file__!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['tests_plan'] = module\n"
        "spec.loader.exec_module(module)\n"
    )
    sites = {"block.1": "forecast:1", "block.0.attn": "skip", "block.0.mlp": "reuse"}
    here = compiled(step(900), step(700, eta=0.5), step(500, sites=sites)).identity
    there = subprocess.run(
        [sys.executable, "-c", loader + code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    assert there.stdout.strip() == here
    assert len(here) == 24


# -- prefixes --------------------------------------------------------------------------------


def test_equal_prefixes_have_equal_step_plans() -> None:
    fields = [step(900, sites={}), step(700, sites={"block.0": "reuse"}), step(400, order=2)]
    long = compiled(*fields, step(200, sites={"block.1": "forecast:2"}), step(50))
    other = compiled(*fields, step(200, order=2, form="taylor"), step(20))
    assert long.steps[:3] == other.steps[:3]
    assert long.steps[3] != other.steps[3]
    assert hash(long.steps[:3]) == hash(other.steps[:3])


def test_a_step_that_ends_elsewhere_is_another_step() -> None:
    assert compiled(step(900), step(700)).steps[0] != compiled(step(900), step(600)).steps[0]


# -- costs -----------------------------------------------------------------------------------


def test_costs() -> None:
    sites = {"block.0": "reuse", "block.1.attn": "skip", "block.1.mlp": "forecast:1"}
    plan = compiled(step(900), step(700), step(500, sites=sites))
    assert plan.nfe == plan.forwards == 3
    assert plan.full_macs == 260
    assert plan.macs == 2 * 260 + (260 - 100 - 30 - 50)
    assert plan.forward_equivalents == plan.macs / 260
    assert plan.keep == {"block.0": 1, "block.1.mlp": 2}


def test_an_implicit_corrector_evaluates_the_next_step_twice() -> None:
    sites = {"block.0": "reuse"}
    fields = [step(700, sites=sites), step(500)]
    plain = compiled(step(900), *fields)
    assert (plain.nfe, plain.macs) == (3, 260 + 160 + 260)
    pseudo = compiled(step(900, corrector="pseudo"), *fields)
    assert pseudo != plain
    assert (pseudo.nfe, pseudo.forwards, pseudo.macs) == (3, 3, plain.macs)
    implicit = compiled(step(900, corrector="implicit"), *fields)
    assert (implicit.nfe, implicit.forwards, implicit.macs) == (4, 4, plain.macs + 160)


def test_an_analytic_first_step_costs_nothing_and_stores_nothing() -> None:
    plan = compiled(step(900, evaluate="zero_x0"), step(700, sites={"block.0": "reuse"}), step(5))
    assert (plan.nfe, plan.forwards, plan.macs) == (2, 2, 2 * 260)
    assert plan.steps[1].branches == (COND,)
    inert = compiled(
        step(900, evaluate="zero_x0", clip=1.0, sites={"block.1": "skip"}), step(700), step(5)
    )
    assert same(plan, inert)


def test_memory() -> None:
    """Single precision: the state, data and noise per point of the history, kept features."""
    plain = 4 * 4 * (1 + 2)
    assert compiled(step(900), step(500)).memory == plain
    second = compiled(step(900), step(500, order=2), step(100))
    assert second.memory == 4 * 4 * (1 + 4)
    # A restart needs the earlier state; a corrector that, and the evaluation at the step's end.
    restart = compiled(step(900), step(500, order=2, start_point=-2), end=4)
    assert restart.memory == 4 * 4 * (1 + 1 + 4)
    corrected = compiled(step(900, corrector="pseudo"), step(500), end=4)
    assert corrected.memory == 4 * 4 * (1 + 1 + 4)
    sites = {"block.0": "reuse", "block.1.mlp": "forecast:1"}
    cached = compiled(step(900), step(700), step(500, sites=sites))
    assert cached.memory == plain + 4 * (8 + 2 * 12)


# -- refusals --------------------------------------------------------------------------------


def refusal(*steps: Mapping[str, Any], denoiser: Denoiser | None = None, **rest: object) -> str:
    with pytest.raises(UserError) as caught:
        compiled(*steps, denoiser=denoiser, **rest)
    return str(caught.value)


def test_times_must_not_grow() -> None:
    assert "steps[1].time 500 follows 400; sort them" in refusal(step(400), step(500))


def test_a_step_to_its_own_time_starts_further_back() -> None:
    """The network is asked twice at a time, once where the restart has come to."""
    plan = compiled(step(500), step(300, order=2, start_point=-2), step(300), step(100))
    assert [s.update.start for s in plan.steps] == [-1, -2, -1, -1]
    assert plan.steps[1].next_log_snr == plan.steps[2].log_snr == plan.steps[1].log_snr
    assert plan.nfe == 4
    message = refusal(step(500), step(300), step(300))
    assert "steps[1] at time 300 goes nowhere, as the next step is there too; let it" in message
    # The state further back is that of the same time.
    nowhere = refusal(step(300), step(300, start_point=-2), step(300))
    assert "steps[0] at time 300 goes nowhere" in nowhere
    assert "log-SNR must grow, but steps[1] has -2 after -1" in refusal(
        step(300, log_snr=-1), step(300, log_snr=-2)
    )


def test_of_a_time_that_repeats_the_newest_evaluation_is_history() -> None:
    again = step(300, start_point=-2)
    later = step(200, order=3, form="taylor")
    plan = compiled(step(500), again, step(300, order=3, form="taylor"), later, end=4)
    assert plan.steps[2].update.points == ((-3,),)
    assert plan.steps[3].update.points == ((-4, -2), (-4, -2))
    # There is nothing to extrapolate from, which DC-Solver's ratio would need three times for.
    ratio = compiled(step(500), again, step(300, compensation=1.2))
    assert ratio == compiled(step(500), again, step(300))


@pytest.mark.parametrize(
    ("schedule", "said", "time"),
    [
        (VariancePreserving(), "v", 999.5),
        (VariancePreserving(), "v", -1),
        (EDM(), "data", 80.1),
        (EDM(), "data", 0.001),
        (RectifiedFlow(), "flow", 1.01),
        (RectifiedFlow(), "flow", 0),
    ],
)
def test_times_must_lie_in_the_range(
    schedule: NoiseSchedule, said: Prediction, time: float
) -> None:
    message = refusal(step(time), denoiser=Stub(schedule, said))
    assert (
        f"steps[0].time {time:g} is outside this model's range, {schedule.first:g} down" in message
    )


def test_log_snr_must_grow() -> None:
    assert "log-SNR must grow, but steps[1] has -3 after -2" in refusal(
        step(900, log_snr=-2), step(800, log_snr=-3)
    )
    assert "but end has -9 after" in refusal(step(500), end=-9)
    assert "but steps[1] has 1 after 1" in refusal(step(500, log_snr=1), step(400, log_snr=1))


def test_a_time_stands_twice_where_its_levels_differ() -> None:
    plan = compiled(step(500), step(500, log_snr=0.5), step(500, log_snr=0.7), step(400, log_snr=2))
    assert [s.time for s in plan.steps] == [500, 500, 500, 400]
    assert "log-SNR must grow" in refusal(step(500), step(500, log_snr=-5))


def test_the_last_step_may_end_where_it_begins() -> None:
    """As in diffusers: it is of order 1 and changes nothing, and feeds the corrector before it."""
    order = {"order": 2, "form": "unipc_bh2", "corrector": "pseudo"}
    for last, end in (
        (step(0, **order), round_float(VariancePreserving().log_snr(0))),
        (step(1, log_snr=2.5, **order), 2.5),
    ):
        plan = compiled(step(900, **order), step(400, **order), last, end=end)
        assert plan.steps[-1].log_snr == plan.steps[-1].next_log_snr
        assert plan.steps[-1].update.order == 1
        assert plan.steps[1].corrector is not None
        assert plan.nfe == 3


def test_close_times_are_still_a_step() -> None:
    plan = compiled(step(500.000001), step(500), step(499.999999, order=2), end=4)
    assert all(s.next_log_snr > s.log_snr for s in plan.steps)
    assert plan.steps[2].order == 2


def test_noise_prediction_cannot_start_from_pure_noise() -> None:
    message = refusal(step(1), step(0.5), denoiser=Stub(RectifiedFlow(), "noise"))
    assert "steps[0].time 1 is pure noise" in message
    compiled(step(0.999), step(0.5), denoiser=Stub(RectifiedFlow(), "noise"))


def test_analytic_first_steps_are_first_and_not_alone() -> None:
    message = refusal(step(900), step(500, evaluate="zero_x0"), step(100))
    assert "steps[1].evaluate is 'zero_x0'; only the first step can do without" in message
    assert "its only step does not evaluate the network" in refusal(step(5, evaluate="zero_x0"))
    message = refusal(step(900, evaluate="average_x0"), step(5), denoiser=Stub(knows_mean=False))
    assert "this model knows no mean of its data; use 'zero_x0'" in message
    # And they can start from where a noise prediction says nothing.
    compiled(step(1, evaluate="zero_x0"), step(0.5), denoiser=Stub(RectifiedFlow(), "noise"))


def test_unknown_sites_are_named_with_the_nearest() -> None:
    assert refusal(step(900), step(500, sites={"blok.1.mlp": "skip"})) == (
        "recipe: steps[1].sites: unknown site 'blok.1.mlp'; did you mean 'block.1.mlp'?"
    )
    exact = ExactDenoiser(Mixture.random(components=2, dimension=2, seed=0), EDM(), "data")
    assert "unknown site 'block.0'; valid: none" in refusal(
        step(5, sites={"block.0": "skip"}), denoiser=exact
    )
    # Also where it would be inert.
    sites = {"block.0": "skip", "block.0.atn": "skip"}
    assert "did you mean 'block.0.attn'" in refusal(step(900, sites=sites))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Stub(EDM(), "v"), "model.family is 'vp' but this model's is 'edm'"),
        (Stub(VariancePreserving("cosine")), "model.schedule is 'linear' but this model's is 'cos"),
        (Stub(prediction="noise"), "model.prediction is 'v' but this model's is 'noise'"),
    ],
)
def test_another_kind_of_model_is_refused(other: Denoiser, message: str) -> None:
    with pytest.raises(UserError, match=message):
        compile_recipe(recipe(step(500)), other)


def test_other_weights_are_told_but_not_refused() -> None:
    other = Stub()
    other.weights = "others"
    assert check_compatible(recipe(step(500)), Stub())
    assert not check_compatible(recipe(step(500)), other)
    unnamed = {**model_key(other).model_dump(), "weights": None}
    anywhere = Recipe.from_dict({"version": 1, "model": unnamed, "steps": [step(500)]})
    assert check_compatible(anywhere, other)
