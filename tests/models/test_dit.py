import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from autosearch.diffusion.macs import count_macs
from autosearch.experiments.training.configs import SUBJECTS
from autosearch.models.dit import Attention, Block, DiT, DiTConfig, load_dit

SMALL = DiTConfig(width=24, depth=2, heads=3, mlp_ratio=2.5)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def randomised(config: DiTConfig, *, seed: int = 0) -> DiT:
    """A network with every weight random: adaLN-Zero would make all of them predict zero."""
    generator = torch.Generator().manual_seed(seed)
    model = DiT(config).eval()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return model


def batch(config: DiTConfig, count: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (count, config.channels, config.image_size, config.image_size)
    x = torch.randn(shape, generator=generator)
    times = 999.0 * torch.rand(count, generator=generator)
    return x, times, torch.arange(count) % (config.num_classes + 1)


CONFIGS = [
    SMALL,
    DiTConfig(),
    SUBJECTS["photos"].network,
    DiTConfig(image_size=12, channels=3, patch=3, width=40, depth=1, heads=5, num_classes=4),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_macs_equal_the_operation_counter(config: DiTConfig) -> None:
    model = randomised(config)
    x, times, labels = batch(config, count=3)
    with torch.no_grad(), count_macs() as counter:
        model(x, times, labels)
    assert counter.total == 3 * model.macs()
    for site, macs in model.site_macs().items():
        module = "DiT." + site.replace("block.", "blocks.")
        assert counter.of(module) == 3 * macs, site


def test_sites_are_named_in_order_and_blocks_contain_their_parts() -> None:
    macs = DiT(SMALL).site_macs()
    names = [f"block.{i}{part}" for i in range(2) for part in ("", ".attn", ".mlp")]
    assert list(macs) == names
    for i in range(2):
        parts = macs[f"block.{i}.attn"] + macs[f"block.{i}.mlp"]
        assert macs[f"block.{i}"] == parts + 6 * SMALL.width**2


def test_patches_go_there_and_back() -> None:
    config = CONFIGS[-1]
    model = DiT(config)
    x, _, _ = batch(config)
    patches = model.patchify(x)
    assert patches.shape == (6, config.tokens, config.patch_values)
    assert torch.equal(patches[0, 0], x[0, :, :3, :3].flatten())
    assert torch.equal(patches[0, 1], x[0, :, :3, 3:6].flatten())
    assert torch.equal(model.unpatchify(patches), x)
    transposed = x.transpose(2, 3)
    assert torch.equal(model.unpatchify(model.patchify(transposed)), transposed)


def test_scalar_time_equals_a_full_one_and_rows_are_independent() -> None:
    model = randomised(SMALL)
    x, _, labels = batch(SMALL)
    with torch.no_grad():
        scalar = model(x, torch.tensor(321.5), labels)
        full = model(x, torch.full((6,), 321.5), labels)
        part = model(x[2:4], torch.tensor(321.5), labels[2:4])
    assert scalar.shape == x.shape
    assert torch.equal(scalar, full)
    torch.testing.assert_close(part, scalar[2:4])


def test_time_and_label_matter_and_the_null_label_is_one_of_its_own() -> None:
    model = randomised(SMALL)
    x, _, _ = batch(SMALL)
    x = x[:1].expand(11, -1, -1, -1)
    with torch.no_grad():
        by_label = model(x, torch.tensor(500.0), torch.arange(11))
        labels = torch.zeros(11, dtype=torch.long)
        by_time = model(x, torch.linspace(0, 999, 11), labels)
    for outputs in (by_label, by_time):
        distances = torch.cdist(outputs.flatten(1), outputs.flatten(1))
        assert distances[~torch.eye(11, dtype=torch.bool)].min() > 1e-3
    with pytest.raises(IndexError):
        model(x[:1], torch.tensor(500.0), torch.tensor([11]))


def test_attention_equals_torch_multi_head_attention() -> None:
    attention = Attention(24, 3)
    other = nn.MultiheadAttention(24, 3, batch_first=True)
    other.in_proj_weight.data = attention.qkv.weight.data
    other.in_proj_bias.data = attention.qkv.bias.data
    other.out_proj.load_state_dict(attention.proj.state_dict())
    hidden = torch.randn(4, 16, 24, generator=torch.Generator().manual_seed(0))
    shift, scale = (torch.randn(4, 1, 24) for _ in range(2))
    inputs = (scale + 1) * F.layer_norm(hidden, (24,), eps=1e-6) + shift
    with torch.no_grad():
        expected = other(inputs, inputs, inputs)[0]
        torch.testing.assert_close(attention(hidden, shift, scale), expected)


def test_attend_sees_heads_apart() -> None:
    attention = Attention(24, 3)
    plain = attention.attend
    seen = []

    def silence_last(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        heads = plain(query, key, value)
        seen.append(heads.shape)
        return torch.cat([heads[:, :2], torch.zeros_like(heads[:, 2:])], dim=1)

    hidden = torch.randn(4, 16, 24, generator=torch.Generator().manual_seed(0))
    unmodulated = torch.zeros(4, 1, 24), torch.zeros(4, 1, 24)
    with torch.no_grad():
        full = attention(hidden, *unmodulated)
        attention.attend = silence_last  # type: ignore[method-assign]
        silenced = attention(hidden, *unmodulated)
        attention.proj.weight[:, 16:] = 0.0
        del attention.attend
        expected = attention(hidden, *unmodulated)
    assert seen == [(4, 3, 16, 8)]
    torch.testing.assert_close(silenced, expected)
    assert not torch.allclose(silenced, full)


@pytest.mark.parametrize("part", ["attn", "mlp"])
def test_a_replaced_forward_is_what_the_gate_multiplies(part: str) -> None:
    model = randomised(SMALL)
    x, times, labels = batch(SMALL)
    block = model.blocks[1]
    assert isinstance(block, Block)
    gate = 2 if part == "attn" else 5
    rows = slice(gate * SMALL.width, (gate + 1) * SMALL.width)
    with torch.no_grad():
        full = model(x, times, labels)
        getattr(block, part).forward = lambda hidden, shift, scale: torch.zeros_like(hidden)
        skipped = model(x, times, labels)
        del getattr(block, part).forward
        block.modulation.weight[rows] = 0.0
        block.modulation.bias[rows] = 0.0
        gated = model(x, times, labels)
    assert torch.equal(skipped, gated)
    assert not torch.allclose(skipped, full)


def test_block_site_takes_hidden_and_conditioning() -> None:
    model = randomised(SMALL)
    x, times, labels = batch(SMALL)
    calls = []

    def passing(hidden: Tensor, conditioning: Tensor) -> Tensor:
        calls.append((hidden.shape, conditioning.shape))
        return hidden

    with torch.no_grad():
        model.blocks[0].forward = passing
        skipped = model(x, times, labels)
        del model.blocks[0].forward
        shorter = randomised(SMALL)
        del shorter.blocks[0]
        assert torch.equal(skipped, shorter(x, times, labels))
    assert calls == [((6, 16, 24), (6, 24))]


def test_weights_round_trip_with_their_config(tmp_path: Path) -> None:
    model = randomised(SMALL)
    path = tmp_path / "model.safetensors"
    save_file(model.state_dict(), str(path), metadata={"config": SMALL.to_json()})
    loaded = load_dit(path)
    assert loaded.config == SMALL
    assert not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded(*batch(SMALL)), model(*batch(SMALL)))


@pytest.mark.parametrize("sizes", [{"patch": 3}, {"heads": 7}])
def test_impossible_sizes_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="does not divide"):
        DiTConfig(**sizes)


def test_time_scale_multiplies_the_time() -> None:
    model = randomised(SMALL)
    x, times, labels = batch(SMALL)
    scaled = DiT(dataclasses.replace(SMALL, time_scale=1000.0)).eval()
    scaled.load_state_dict(model.state_dict())
    with torch.no_grad():
        expected = model(x, times, labels)
        torch.testing.assert_close(scaled(x, times / 1000.0, labels), expected)
        assert not torch.allclose(scaled(x, times, labels), expected)
