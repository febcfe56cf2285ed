"""A small class-conditional diffusion transformer (DiT), the network of the bundled models.

The architecture is DiT with adaLN-Zero (Peebles and Xie, 2023, figure 3). We deviate in three
small ways: the adaLN linear of each block reads one shared activation of the conditioning, the
output has no variance channels, and the position embedding is learned.

Sites are plain submodules, so that a caller can intercept them by replacing a `forward`:
`model.blocks[i]`, `model.blocks[i].attn` and `model.blocks[i].mlp`.
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autosearch.models.weights import load_network

__all__ = ["Attention", "Block", "DiT", "DiTConfig", "Mlp", "load_dit"]

TIME_FREQUENCIES = 32
MAX_PERIOD = 10_000.0


@dataclass(frozen=True, kw_only=True)
class DiTConfig:
    """Sizes of a DiT; `num_classes` is also the index of the null label.

    `time_scale` brings the network's times to 0..1000 or so, for which the waves are made.
    """

    image_size: int = 8
    channels: int = 1
    patch: int = 2
    width: int = 96
    depth: int = 8
    heads: int = 6
    mlp_ratio: float = 2.0
    num_classes: int = 10
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.image_size % self.patch:
            raise ValueError(f"patch {self.patch} does not divide image_size {self.image_size}")
        if self.width % self.heads:
            raise ValueError(f"heads {self.heads} does not divide width {self.width}")

    @property
    def tokens(self) -> int:
        """Number of patches of one image."""
        return (self.image_size // self.patch) ** 2

    @property
    def patch_values(self) -> int:
        """Numbers of one patch: channels * patch ** 2."""
        return self.channels * self.patch**2

    @property
    def hidden(self) -> int:
        """Width of the hidden layer of each MLP."""
        return int(self.mlp_ratio * self.width)

    def to_json(self) -> str:
        """The sizes as JSON, as the weights' metadata keeps them."""
        return json.dumps(dataclasses.asdict(self))


def _modulate(hidden: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    normed = F.layer_norm(hidden, hidden.shape[-1:], eps=1e-6)
    return torch.addcmul(shift, normed, scale + 1.0)


class Attention(nn.Module):
    """Multi-head self-attention over tokens; `attend` sees the heads as a dimension of their own.

    `forward` maps [B, tokens, width] to [B, tokens, width], before the block's gate; its input is
    normalised, scaled and shifted here, so that who leaves attention out saves that too.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention of each head: three [B, heads, tokens, head_dim] to one of the same shape."""
        return F.scaled_dot_product_attention(query, key, value)

    def forward(self, hidden: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        batch, tokens, width = hidden.shape
        qkv = self.qkv(_modulate(hidden, shift, scale))
        qkv = qkv.view(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        heads = self.attend(query, key, value)
        output: Tensor = self.proj(heads.transpose(1, 2).reshape(batch, tokens, width))
        return output

    def macs(self, tokens: int) -> int:
        """Multiply-accumulates of one sample: four linears and the two products of attention."""
        width = self.proj.in_features
        return tokens * 4 * width**2 + 2 * tokens**2 * width


class Mlp(nn.Module):
    """Token-wise two-layer network, [B, tokens, width] to the same, before the block's gate.

    As in attention, its input is normalised, scaled and shifted here.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, hidden: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        output: Tensor = self.down(F.gelu(self.up(_modulate(hidden, shift, scale))))
        return output

    def macs(self, tokens: int) -> int:
        """Multiply-accumulates of one sample."""
        return tokens * 2 * self.up.in_features * self.up.out_features


class Block(nn.Module):
    """One adaLN-Zero block: `forward(hidden [B, tokens, width], conditioning [B, width])`."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.modulation = nn.Linear(config.width, 6 * config.width)
        self.attn = Attention(config.width, config.heads)
        self.mlp = Mlp(config.width, config.hidden)

    def forward(self, hidden: Tensor, conditioning: Tensor) -> Tensor:
        modulation = self.modulation(conditioning).unsqueeze(1)
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation.chunk(6, dim=-1)
        hidden = torch.addcmul(hidden, gate_a, self.attn(hidden, shift_a, scale_a))
        change = self.mlp(hidden, shift_m, scale_m)
        if torch.is_grad_enabled():
            return torch.addcmul(hidden, gate_m, change)
        # This sum is nobody else's; written over, it takes a third less of memory's time.
        return hidden.addcmul_(gate_m, change)


def _time_waves(times: Tensor) -> Tensor:
    """Cosines and sines of times [B] at geometric frequencies: float32 [B, 64]."""
    exponents = torch.arange(TIME_FREQUENCIES, dtype=torch.float64) / TIME_FREQUENCIES
    frequencies = torch.exp(-math.log(MAX_PERIOD) * exponents).float().to(times.device)
    phases = times.float()[:, None] * frequencies
    return torch.cat([phases.cos(), phases.sin()], dim=-1)


class DiT(nn.Module):
    """Class-conditional denoiser of small images.

    `forward(x, t, labels)` takes x [B, channels, size, size] in about [-1, 1] plus noise,
    t [B] or a scalar (the model's time; times `time_scale`, 0..1000) and labels [B] (int64;
    `num_classes` is the learned null label of classifier-free guidance, Ho and Salimans, 2022).
    It returns the prediction, of x's shape.
    """

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embed = nn.Linear(config.patch_values, width)
        self.position = nn.Parameter(0.02 * torch.randn(1, config.tokens, width))
        self.time = nn.Sequential(
            nn.Linear(2 * TIME_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.label = nn.Embedding(config.num_classes + 1, width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.final_modulation = nn.Linear(width, 2 * width)
        self.final = nn.Linear(width, config.patch_values)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.label.weight, std=0.02)
        for linear in (self.final_modulation, self.final, *(b.modulation for b in self._blocks())):
            nn.init.zeros_(linear.weight)

    def _blocks(self) -> list[Block]:
        return cast(list[Block], list(self.blocks))

    def conditioning(self, t: Tensor, labels: Tensor) -> Tensor:
        """The activation [B, width] that every adaLN linear reads."""
        times = self.config.time_scale * t.expand(labels.shape[0])
        waves = _time_waves(times).to(self.label.weight)
        return F.silu(self.time(waves) + self.label(labels))

    def patchify(self, x: Tensor) -> Tensor:
        """Images [B, channels, size, size] to patches [B, tokens, patch_values]."""
        c, p, n = self.config.channels, self.config.patch, self.config.image_size
        patches = x.reshape(-1, c, n // p, p, n // p, p).permute(0, 2, 4, 1, 3, 5)
        return patches.reshape(-1, self.config.tokens, self.config.patch_values)

    def unpatchify(self, patches: Tensor) -> Tensor:
        """Patches [B, tokens, patch_values] to images [B, channels, size, size]."""
        c, p, n = self.config.channels, self.config.patch, self.config.image_size
        grid = patches.reshape(-1, n // p, n // p, c, p, p).permute(0, 3, 1, 4, 2, 5)
        return grid.reshape(-1, c, n, n)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        conditioning = self.conditioning(t, labels)
        hidden = self.embed(self.patchify(x)) + self.position
        for block in self.blocks:
            hidden = block(hidden, conditioning)
        shift, scale = self.final_modulation(conditioning).unsqueeze(1).chunk(2, dim=-1)
        return self.unpatchify(self.final(_modulate(hidden, shift, scale)))

    def site_macs(self) -> dict[str, int]:
        """Multiply-accumulates of each site for one sample; a block includes its adaLN linear."""
        tokens, width = self.config.tokens, self.config.width
        macs: dict[str, int] = {}
        for i, block in enumerate(self._blocks()):
            attn, mlp = block.attn.macs(tokens), block.mlp.macs(tokens)
            macs[f"block.{i}"] = attn + mlp + 6 * width**2
            macs[f"block.{i}.attn"] = attn
            macs[f"block.{i}.mlp"] = mlp
        return macs

    def macs(self) -> int:
        """Multiply-accumulates of one full forward of one sample (element-wise work excluded)."""
        config, width = self.config, self.config.width
        sites = self.site_macs()
        blocks = sum(sites[f"block.{i}"] for i in range(config.depth))
        patches = 2 * config.tokens * config.patch_values * width
        conditioning = 2 * TIME_FREQUENCIES * width + width**2 + 2 * width**2
        return blocks + patches + conditioning


def load_dit(path: str | Path) -> DiT:
    """Read a DiT, in evaluation mode; UserError when the file is missing or holds another."""
    return load_network(path, network=DiT, config=DiTConfig)
