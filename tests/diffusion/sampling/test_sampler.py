"""The sampling loop: what it yields, where its noise and labels come from, clipping."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.noise import Stream, draw
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, model_key
from autosearch.diffusion.sampling.sampler import sample, sample_indices, trajectory
from autosearch.diffusion.schedules import VariancePreserving
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Recipe

MakeExact = Callable[..., ExactDenoiser]


@pytest.fixture
def denoiser(mixture: Mixture, exact: MakeExact) -> ExactDenoiser:
    return exact(mixture, VariancePreserving(), "noise")


class Recorder(nn.Module):
    """Answers with the label and keeps what it was asked."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=dtype))
        self.times: list[Tensor] = []
        self.labels: list[Tensor] = []

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        self.times.append(t)
        self.labels.append(labels)
        return torch.zeros_like(x) + labels[:, None].to(x)


def recording(dtype: torch.dtype) -> tuple[Recorder, NetworkDenoiser]:
    network = Recorder(dtype)
    denoiser = NetworkDenoiser(
        network,
        schedule=VariancePreserving(),
        prediction="data",
        sample_shape=(2,),
        classes=3,
        null_label=3,
        sites=[],
        modules={},
        heads={},
        macs=1,
        weights="none",
    )
    return network, denoiser


def test_states_run_from_the_start_to_the_end(denoiser: ExactDenoiser) -> None:
    plan = compile_recipe(baseline("euler@3", denoiser), denoiser)
    noise = draw(0, Stream.SEARCH, range(4), (3,)).double()
    states = list(trajectory(denoiser, plan, noise, None))
    assert [state.step for state in states] == [0, 1, 2, 3]
    assert torch.equal(states[0].x, plan.start_scale * noise)
    assert states[0].evaluation is None
    assert [s.log_snr for s in states] == [plan.steps[0].log_snr] + [
        step.next_log_snr for step in plan.steps
    ]
    assert torch.equal(sample(denoiser, plan, noise, None), states[-1].x)


def test_samples_do_not_depend_on_the_batch(denoiser: ExactDenoiser) -> None:
    plan = compile_recipe(baseline("ddpm@4", denoiser), denoiser)

    def run(indices: list[int]) -> Tensor:
        return sample_indices(denoiser, plan, indices, seed=3, stream=Stream.EVALUATE)

    whole = run([5, 0, 9, 2])
    torch.testing.assert_close(torch.cat([run([5, 0]), run([9, 2])]), whole, rtol=1e-12, atol=0)
    assert not torch.equal(run([5]), run([6]))
    other = sample_indices(denoiser, plan, [5], seed=3, stream=Stream.SEARCH)
    assert not torch.equal(run([5]), other)


def test_each_step_has_its_own_noise(denoiser: ExactDenoiser) -> None:
    """Step k draws number k of the sample's stream; number 0 is the start."""
    plan = compile_recipe(baseline("ddpm@4", denoiser), denoiser)
    asked: list[int] = []

    def step_noise(k: int) -> Tensor:
        asked.append(k)
        return draw(3, Stream.SEARCH, [5], (3,), k=k).double()

    start = draw(3, Stream.SEARCH, [5], (3,)).double()
    by_hand = sample(denoiser, plan, start, None, step_noise=step_noise)
    assert asked == [1, 2, 3]  # the last step, to clean data, adds none
    by_index = sample_indices(denoiser, plan, [5], seed=3, stream=Stream.SEARCH)
    assert torch.equal(by_hand, by_index)


def test_stochastic_plans_need_their_noise(denoiser: ExactDenoiser) -> None:
    plan = compile_recipe(baseline("ddpm@2", denoiser), denoiser)
    with pytest.raises(ValueError, match="needs step_noise"):
        sample(denoiser, plan, torch.zeros(1, 3).double(), None)


def test_labels_follow_the_indices() -> None:
    network, denoiser = recording(torch.float32)
    plan = compile_recipe(baseline("ddim@2", denoiser), denoiser)
    x = sample_indices(denoiser, plan, [4, 3, 8], seed=0, stream=Stream.SEARCH)
    assert [labels.tolist() for labels in network.labels] == [[1, 0, 2]] * 2
    assert x.tolist() == [[1, 1], [0, 0], [2, 2]]
    assert [t.tolist() for t in network.times] == [[500.0] * 3, [0.0] * 3]


def test_half_precision_networks_get_their_time_in_full() -> None:
    network, denoiser = recording(torch.bfloat16)
    plan = compile_recipe(baseline("ddim-trailing@2", denoiser), denoiser)
    sample_indices(denoiser, plan, [0], seed=0, stream=Stream.SEARCH)
    assert [t.item() for t in network.times] == [999.0, 499.0]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_clipping_bounds_the_data_and_corrects_the_noise(
    order: int, denoiser: ExactDenoiser
) -> None:
    data = baseline("ddim@4", denoiser).to_dict()
    for i, step in enumerate(data["steps"]):
        step.update(clip=0.3, order=order if 0 < i < 3 else 1)
    plan = compile_recipe(Recipe.from_dict(data), denoiser)
    noise = draw(0, Stream.SEARCH, range(6), (3,)).double()
    previous = noise
    bound = False
    for state in list(trajectory(denoiser, plan, noise, None))[1:]:
        step, seen = plan.steps[state.step - 1], state.evaluation
        assert seen is not None
        assert seen.noise is not None
        assert seen.data.abs().max() <= 0.3
        bound |= bool((seen.data.abs() == 0.3).any())
        alpha, sigma = denoiser.schedule.alpha_sigma(step.log_snr)
        torch.testing.assert_close(alpha * seen.data + sigma * seen.noise, previous)
        previous = state.x
    assert bound


def with_steps(denoiser: ExactDenoiser, *steps: dict[str, object]) -> Plan:
    model = model_key(denoiser).model_dump()
    data = {"version": 1, "model": model, "steps": list(steps), "end": 4}
    return compile_recipe(Recipe.from_dict(data), denoiser)


def asked(denoiser: ExactDenoiser, x: Tensor, time: float) -> tuple[Tensor, Tensor]:
    """Data and noise that the network sees in a state."""
    alpha, sigma = denoiser.schedule.alpha_sigma(denoiser.schedule.log_snr(time))
    noise = denoiser.denoise(x, time, None)["cond"]
    return (x - sigma * noise) / alpha, noise


def test_pseudo_correctors_keep_the_evaluation(denoiser: ExactDenoiser) -> None:
    """What was said of the predicted state stands beside the corrected one, at no cost."""
    plan = with_steps(denoiser, {"time": 800, "corrector": "pseudo"}, {"time": 500})
    assert plan.nfe == 2
    noise = draw(0, Stream.SEARCH, range(6), (3,)).double()
    _, first, second = trajectory(denoiser, plan, noise, None)
    assert second.evaluation is not None
    assert (second.evaluation.x - first.x).abs().max() > 1e-3
    data, said = asked(denoiser, first.x, 500)
    torch.testing.assert_close(second.evaluation.data, data)
    torch.testing.assert_close(second.evaluation.noise, said)


def test_implicit_correctors_evaluate_again(denoiser: ExactDenoiser) -> None:
    plan = with_steps(denoiser, {"time": 800, "corrector": "implicit"}, {"time": 500})
    assert plan.nfe == 3
    noise = draw(0, Stream.SEARCH, range(6), (3,)).double()
    _, first, second = trajectory(denoiser, plan, noise, None)
    assert second.evaluation is not None
    assert (second.evaluation.x - first.x).abs().max() > 1e-3
    data, said = asked(denoiser, second.evaluation.x, 500)
    torch.testing.assert_close(second.evaluation.data, data)
    torch.testing.assert_close(second.evaluation.noise, said)


@pytest.mark.parametrize("prediction", ["data", "noise"])
def test_order_1_from_a_corrected_state_knows_its_prediction(
    prediction: str, denoiser: ExactDenoiser
) -> None:
    """There the kept data and noise are not the state's parts, and the two steps differ."""
    plan = with_steps(
        denoiser,
        {"time": 800, "corrector": "pseudo"},
        {"time": 500, "prediction": prediction},
    )
    noise = draw(0, Stream.SEARCH, range(6), (3,)).double()
    *_, last = trajectory(denoiser, plan, noise, None)
    seen = last.evaluation
    assert seen is not None
    schedule = denoiser.schedule
    (alpha, sigma), (after, sigma1) = map(schedule.alpha_sigma, (seen.log_snr, 4.0))
    if prediction == "data":
        said = (seen.x - alpha * seen.data) / sigma
        expected = after * seen.data + sigma1 * said
    else:
        assert seen.noise is not None
        clean = (seen.x - sigma * seen.noise) / alpha
        expected = after * clean + sigma1 * seen.noise
    torch.testing.assert_close(last.x, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("evaluate", ["zero_x0", "average_x0"])
def test_analytic_first_steps_ask_once_less(evaluate: str, denoiser: ExactDenoiser) -> None:
    """Data and noise are one prediction: ``x = alpha data + sigma noise``."""
    plan = with_steps(denoiser, {"time": 999, "evaluate": evaluate}, {"time": 500})
    assert plan.nfe == 1
    assert plan.macs == denoiser.macs
    noise = draw(0, Stream.SEARCH, range(6), (3,)).double()
    start, first, _ = trajectory(denoiser, plan, noise, None)
    seen = first.evaluation
    assert seen is not None
    assert seen.noise is not None
    mean = torch.as_tensor(denoiser.mixture.mean)
    expected = torch.zeros_like(mean) if evaluate == "zero_x0" else mean
    torch.testing.assert_close(seen.data, expected.expand(6, 3))
    alpha, sigma = denoiser.schedule.alpha_sigma(plan.steps[0].log_snr)
    torch.testing.assert_close(start.x, alpha * seen.data + sigma * seen.noise)


def test_restarts_go_back_to_the_earlier_state(denoiser: ExactDenoiser) -> None:
    """An order-1 restart from two points back is DDIM over both steps."""
    there = with_steps(denoiser, {"time": 800}, {"time": 500, "start_point": -2})
    once = with_steps(denoiser, {"time": 800})
    noise = draw(0, Stream.SEARCH, range(6), (3,)).double()
    torch.testing.assert_close(
        sample(denoiser, there, noise, None), sample(denoiser, once, noise, None)
    )
