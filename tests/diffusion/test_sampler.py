"""The sampling loop: what it yields, where its noise and labels come from, clipping."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.noise import Stream, draw
from autosearch.diffusion.sampler import sample, sample_indices, trajectory
from autosearch.diffusion.schedules import VariancePreserving
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.plan import compile_recipe
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


@pytest.mark.parametrize("order", [1, 2])
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
