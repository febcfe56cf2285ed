"""Where the sites of a network of diffusers are: one small table for each kind of network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from autosearch.models.diffusers.module_adapter import ModuleAdapter

__all__ = ["BlockList", "Part", "SiteSpec", "transformer_sites", "unet_sites"]

_STREAMS = ("hidden_states", "encoder_hidden_states")


@dataclass(frozen=True)
class SiteSpec:
    """A site and its module.

    Attributes:
        heads: attention heads that can be perturbed; 0 for none.
    """

    name: str
    adapter: ModuleAdapter
    parent: str | None = None
    residual: bool = False
    heads: int = 0

    @property
    def module(self) -> nn.Module:
        """The site's module."""
        return self.adapter.module


@dataclass(frozen=True)
class Part:
    """A sub-module of a block: the site's suffix and the attribute that holds it.

    Attributes:
        heads: whether its heads can be perturbed: attention among the image's own tokens.
        joint: whether it takes and returns the streams of image and text.
    """

    suffix: str
    attribute: str
    heads: bool = False
    joint: bool = False


@dataclass(frozen=True)
class BlockList:
    """A list of equal blocks; ``joint`` ones take both streams, and return text before image."""

    attribute: str
    parts: Sequence[Part] = field(default=())
    joint: bool = False


def transformer_sites(network: nn.Module, lists: Sequence[BlockList]) -> list[SiteSpec]:
    """Blocks of a transformer, numbered through all its lists, and their parts."""
    site_specs: list[SiteSpec] = []
    count = 0
    for blocks in lists:
        for block in getattr(network, blocks.attribute):
            name = f"block.{count}"
            site_specs.append(_block(name, block, joint=blocks.joint))
            site_specs += _parts(name, block, blocks.parts)
            count += 1
    return site_specs


def _block(name: str, block: Any, *, joint: bool) -> SiteSpec:
    if not joint:
        return SiteSpec(name, ModuleAdapter(block), residual=True)
    # The last one returns no text: it passes as if unchanged, and nobody reads it.
    text = None if getattr(block, "context_pre_only", False) else 0
    adapter = ModuleAdapter(block, inputs=_STREAMS, outputs=(1, text), size=2)
    return SiteSpec(name, adapter, residual=True)


def _parts(name: str, block: nn.Module, parts: Sequence[Part]) -> Iterator[SiteSpec]:
    for part in parts:
        module: Any = getattr(block, part.attribute, None)
        if module is None:
            continue
        if isinstance(module, nn.Linear):
            adapter = ModuleAdapter(module, changed=(-1, module.out_features))
        elif part.joint:
            adapter = ModuleAdapter(module, inputs=_STREAMS, outputs=(0, 1), size=2)
        else:
            adapter = ModuleAdapter(module)
        heads = int(module.heads) if part.heads else 0
        yield SiteSpec(f"{name}.{part.suffix}", adapter, parent=name, heads=heads)


# Of the blocks inside a U-Net's spatial transformers.
_UNET_PARTS = (
    Part("attn", "attn1", heads=True),
    Part("cross", "attn2"),
    Part("mlp", "ff"),
)


def unet_sites(network: Any) -> list[SiteSpec]:
    """Residual blocks, attention and spatial transformers of a U-Net, in the order of execution.

    ``down.1.res.0``, ``mid.attn.0``, ``up.0.transformer.1``, and inside a transformer its blocks
    and their parts, ``up.0.transformer.1.block.0.attn``.
    """
    site_specs: list[SiteSpec] = []
    for i, block in enumerate(network.down_blocks):
        site_specs += _stage(f"down.{i}", block, resampled=i > 0)
    if network.mid_block is not None:
        site_specs += _stage("mid", network.mid_block, resampled=False)
    for i, block in enumerate(network.up_blocks):
        site_specs += _stage(f"up.{i}", block, resampled=i > 0)
    return site_specs


def _stage(name: str, stage: Any, *, resampled: bool) -> Iterator[SiteSpec]:
    """A level of a U-Net: after each residual block its attention, where it has one."""
    attentions = list(getattr(stage, "attentions", ()))
    for i, resnet in enumerate(stage.resnets):
        # Where the number of channels changes, the input is no part of the output. Between levels
        # the size changes too, so that no range of sites may go from one to the next.
        residual = resnet.conv_shortcut is None and not (i == 0 and resampled)
        other = resnet.out_channels != resnet.in_channels
        changed = (1, resnet.out_channels) if other else None
        adapter = ModuleAdapter(resnet, changed=changed)
        yield SiteSpec(f"{name}.res.{i}", adapter, residual=residual)
        if i < len(attentions) and attentions[i] is not None:
            yield from _attention(name, i, attentions[i])


def _attention(name: str, index: int, module: Any) -> Iterator[SiteSpec]:
    if not hasattr(module, "transformer_blocks"):
        site, residual = f"{name}.attn.{index}", module.residual_connection
        yield SiteSpec(site, ModuleAdapter(module), residual=residual, heads=int(module.heads))
        return
    site = f"{name}.transformer.{index}"
    yield SiteSpec(site, ModuleAdapter(module, outputs=(0,), size=1), residual=True)
    for k, block in enumerate(module.transformer_blocks):
        inner = f"{site}.block.{k}"
        yield SiteSpec(inner, ModuleAdapter(block), parent=site, residual=True)
        yield from _parts(inner, block, _UNET_PARTS)
