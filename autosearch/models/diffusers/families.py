"""The kinds of networks that are known: their sites, shapes and habits, one entry each."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from autosearch.errors import UserError
from autosearch.models.diffusers.folder import Configs
from autosearch.models.diffusers.site_specs import (
    BlockList,
    Part,
    SiteSpec,
    transformer_sites,
    unet_sites,
)

__all__ = ["FAMILIES", "PipelineFamily", "Shapes", "Size", "class_name", "family_of", "latent_grid"]

# Shapes of inputs by name, of one sample; () is a number, None an input that is not given.
Shapes = Mapping[str, Any]


@dataclass(frozen=True)
class Size:
    """What the shapes of one run of a pipeline depend on: pixels and the length of the text."""

    height: int | None = None
    width: int | None = None
    text: int | None = None


@dataclass(frozen=True)
class PipelineFamily:
    """A kind of network.

    Attributes:
        name: a short one, for messages.
        condition: what its samples are of: a ``class``, a ``text`` or ``none``. Only pipelines of
            texts take times in their call.
        site_specs: finds its sites.
        sample_shape: the shape of one state.
        inputs: shapes of everything else that it is given.
        state: the argument that holds the state.
        shared: arguments without a row for each sample.
        time_scale: what a recipe's time is multiplied by for the network.
        cond_first: whether its pipelines put the conditional half of a batch first.
        guided: whether it runs without its condition, so that classifier-free guidance works.
        scales_start: whether its pipelines scale the noise that they start from.
        packed: whether its states are tokens of 2 x 2 latents.
        cached: whether diffusers can give its blocks a cache.
        skips_layers: whether its pipelines guide by a run with fewer layers.
        first_block_shared: whether its output layer reads what its first block makes.
        even_levels: whether its pipelines hand a scheduler of flows the levels of a run.
        tokens: how many tokens of an image decide the shift of its pipelines; without it they do
            not tell their scheduler.
    """

    name: str
    condition: Literal["class", "text", "none"]
    site_specs: Callable[[nn.Module], list[SiteSpec]]
    sample_shape: Callable[[Configs, Size], tuple[int, ...]]
    inputs: Callable[[Configs, Size], Shapes]
    state: str = "hidden_states"
    shared: frozenset[str] = frozenset()
    time_scale: Callable[[Mapping[str, Any]], float] = lambda network: 1.0
    cond_first: bool = False
    guided: bool = True
    scales_start: bool = True
    packed: bool = False
    cached: bool = False
    skips_layers: bool = False
    first_block_shared: bool = False
    even_levels: bool = False
    tokens: Callable[[Configs, Size], int] | None = None

    @property
    def is_unet(self) -> bool:
        """Whether it is a U-Net, and not a list of equal blocks."""
        return self.site_specs is unet_sites


def family_of(network: Mapping[str, Any], *, where: str) -> PipelineFamily:
    """The family of a network, by its configuration.

    Raises:
        UserError: for a kind that is not known, or a variant that is not supported.
    """
    kind = class_name(network)
    if kind not in FAMILIES:
        raise UserError(
            f"{where}: networks of class {kind or '?'} are not supported; valid: "
            f"{', '.join(sorted(FAMILIES))}"
        )
    _check_unet(network, where)
    if kind == "UNet2DConditionModel" and network.get("addition_embed_type") == "text_time":
        return _SDXL
    return FAMILIES[kind]


def class_name(network: Mapping[str, Any]) -> str:
    """The class of a network today; older files name one for several kinds of transformers."""
    kind = str(network.get("_class_name", ""))
    if kind == "Transformer2DModel":
        norms = {"ada_norm_zero": "DiTTransformer2DModel", "ada_norm_single": _PIXART_CLASS}
        return norms.get(str(network.get("norm_type")), kind)
    return kind


_UNET_BLOCKS = {
    "DownBlock2D",
    "AttnDownBlock2D",
    "CrossAttnDownBlock2D",
    "UpBlock2D",
    "AttnUpBlock2D",
    "CrossAttnUpBlock2D",
    "UNetMidBlock2D",
    "UNetMidBlock2DCrossAttn",
}

_UNET_REFUSED = {
    "class_embed_type": "they take classes beside their text",
    "num_class_embeds": "they take classes",
    "encoder_hid_dim_type": "they take images",
    "time_cond_proj_dim": "they are distilled for a few fixed times",
}


def _check_unet(network: Mapping[str, Any], where: str) -> None:
    blocks = [*network.get("down_block_types", ()), *network.get("up_block_types", ())]
    blocks += [name for name in [network.get("mid_block_type")] if name]
    for name in blocks:
        if name not in _UNET_BLOCKS:
            raise UserError(f"{where}: U-Net blocks of type {name!r} are not supported")
    for key, reason in _UNET_REFUSED.items():
        if network.get(key) is not None:
            raise UserError(f"{where}: U-Nets with {key} are not supported: {reason}")
    if blocks and network.get("in_channels") != network.get("out_channels"):
        raise UserError(
            f"{where}: this U-Net takes {network.get('in_channels')} channels and gives "
            f"{network.get('out_channels')}; inpainting and editing models are not supported"
        )


def latent_grid(configs: Configs, size: Size) -> tuple[int, int]:
    """Rows and columns of the autoencoder's latents, or of pixels where there is none."""
    side = configs.network.get("sample_size")
    if side is None:
        # FLUX does not say; its pipelines take 128.
        side = 128
    own = side if isinstance(side, list | tuple) else (side, side)
    factor = _downscaling(configs.vae)
    rows, columns = (
        given // factor if given else int(usual)
        for given, usual in zip((size.height, size.width), own, strict=True)
    )
    return rows, columns


def _latents(configs: Configs, size: Size) -> tuple[int, ...]:
    """The shape of latents: channels, rows and columns."""
    return int(configs.network["in_channels"]), *latent_grid(configs, size)


def _downscaling(vae: Mapping[str, Any]) -> int:
    """Pixels on the side of one latent."""
    levels = vae.get("encoder_block_out_channels") or vae.get("block_out_channels") or [1]
    return int(2 ** (len(levels) - 1))


def _fixed_latents(configs: Configs, size: Size) -> tuple[int, ...]:
    """The shape of latents of a pipeline whose size cannot be chosen."""
    if size.height is not None or size.width is not None:
        raise UserError(f"model: {configs.pipeline} has one size; leave height and width out")
    return _latents(configs, size)


def _packed_latents(configs: Configs, size: Size) -> tuple[int, ...]:
    """The shape of FLUX's states: tokens of 2 x 2 latents."""
    rows, columns = latent_grid(configs, size)
    return (rows // 2) * (columns // 2), int(configs.network["in_channels"])


def _sd3_tokens(configs: Configs, size: Size) -> int:
    patch = int(configs.network.get("patch_size", 2))
    rows, columns = latent_grid(configs, size)
    return (rows // patch) * (columns // patch)


def _clip_text(configs: Configs, size: Size) -> Shapes:
    return {"encoder_hidden_states": (configs.tokens, int(configs.network["cross_attention_dim"]))}


def _sdxl_text(configs: Configs, size: Size) -> Shapes:
    network = configs.network
    pooled = int(network["projection_class_embeddings_input_dim"])
    pooled -= 6 * int(network["addition_time_embed_dim"])
    added = {"text_embeds": (pooled,), "time_ids": (6,)}
    return {**_clip_text(configs, size), "added_cond_kwargs": added}


def _pixart_text(configs: Configs, size: Size) -> Shapes:
    network = configs.network
    sized = network.get("use_additional_conditions")
    if sized is None:
        sized = network.get("sample_size") == 128
    # Alpha reads 120 tokens, Sigma 300.
    text = size.text or (300 if configs.pipeline == "PixArtSigmaPipeline" else 120)
    return {
        "encoder_hidden_states": (text, int(network["caption_channels"])),
        "encoder_attention_mask": (text,),
        "added_cond_kwargs": {
            "resolution": (2,) if sized else None,
            "aspect_ratio": (1,) if sized else None,
        },
    }


def _sana_text(configs: Configs, size: Size) -> Shapes:
    text = size.text or 300
    return {
        "encoder_hidden_states": (text, int(configs.network["caption_channels"])),
        "encoder_attention_mask": (text,),
    }


def _sd3_text(configs: Configs, size: Size) -> Shapes:
    network = configs.network
    # The tokens of CLIP, then those of T5.
    text = configs.tokens + (size.text or 256)
    return {
        "encoder_hidden_states": (text, int(network["joint_attention_dim"])),
        "pooled_projections": (int(network["pooled_projection_dim"]),),
    }


def _flux_text(configs: Configs, size: Size) -> Shapes:
    network = configs.network
    text = size.text or 512
    tokens = _packed_latents(configs, size)[0]
    return {
        "encoder_hidden_states": (text, int(network["joint_attention_dim"])),
        "pooled_projections": (int(network["pooled_projection_dim"]),),
        "guidance": () if network.get("guidance_embeds") else None,
        "txt_ids": (text, 3),
        "img_ids": (tokens, 3),
    }


def _blocks(*lists: BlockList) -> Callable[[nn.Module], list[SiteSpec]]:
    return functools.partial(transformer_sites, lists=lists)


_ATTN = Part("attn", "attn1", heads=True)
_CROSS = Part("cross", "attn2")
_MLP = Part("mlp", "ff")
_JOINT = (
    Part("attn", "attn", heads=True, joint=True),
    # Only some blocks of SD 3.5 have a second attention, of the image alone.
    Part("attn2", "attn2", heads=True),
    _MLP,
    Part("context_mlp", "ff_context"),
)
_SINGLE = (Part("attn", "attn", heads=True), Part("mlp", "proj_mlp"))
_PIXART_CLASS = "PixArtTransformer2DModel"

_UNET = PipelineFamily("unet", "text", unet_sites, _latents, _clip_text, state="sample")
_SDXL = PipelineFamily("sdxl", "text", unet_sites, _latents, _sdxl_text, state="sample")

FAMILIES: Mapping[str, PipelineFamily] = {
    "DiTTransformer2DModel": PipelineFamily(
        "dit",
        "class",
        _blocks(BlockList("transformer_blocks", (_ATTN, _MLP))),
        _fixed_latents,
        lambda configs, size: {"class_labels": ()},
        cond_first=True,
        scales_start=False,
        first_block_shared=True,
    ),
    "UNet2DModel": PipelineFamily(
        "pixel unet",
        "none",
        unet_sites,
        _fixed_latents,
        lambda configs, size: {},
        state="sample",
        guided=False,
        scales_start=False,
    ),
    "UNet2DConditionModel": _UNET,
    _PIXART_CLASS: PipelineFamily(
        "pixart",
        "text",
        _blocks(BlockList("transformer_blocks", (_ATTN, _CROSS, _MLP))),
        _latents,
        _pixart_text,
    ),
    "SD3Transformer2DModel": PipelineFamily(
        "sd3",
        "text",
        _blocks(BlockList("transformer_blocks", _JOINT, joint=True)),
        _latents,
        _sd3_text,
        time_scale=lambda network: 1000.0,
        scales_start=False,
        skips_layers=True,
        tokens=_sd3_tokens,
    ),
    "FluxTransformer2DModel": PipelineFamily(
        "flux",
        "text",
        _blocks(
            BlockList("transformer_blocks", _JOINT, joint=True),
            BlockList("single_transformer_blocks", _SINGLE, joint=True),
        ),
        _packed_latents,
        _flux_text,
        shared=frozenset({"txt_ids", "img_ids"}),
        guided=False,
        scales_start=False,
        packed=True,
        cached=True,
        even_levels=True,
        tokens=lambda configs, size: _packed_latents(configs, size)[0],
    ),
    "SanaTransformer2DModel": PipelineFamily(
        "sana",
        "text",
        # Its own attention is linear: there is no map whose heads could be perturbed.
        _blocks(
            BlockList("transformer_blocks", (Part("attn", "attn1"), _CROSS, _MLP)),
        ),
        _latents,
        _sana_text,
        time_scale=lambda network: 1000.0 * float(network.get("timestep_scale", 1.0)),
        scales_start=False,
    ),
}
