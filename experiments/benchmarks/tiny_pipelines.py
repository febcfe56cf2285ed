"""Tiny random pipelines of every family that the diffusers adapter knows, saved to a folder.

No download: networks and text encoders have a few thousand random weights, tokenizers a vocabulary
of single letters. All weights are random, so that no part of a network is without effect.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

__all__ = ["PIPELINES", "pipeline_folder"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WIDTH = 32


def pipeline_folder(name: str, folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Build a pipeline, save it and return its folder; the global random state is left alone.

    Args:
        name: one of :data:`PIPELINES`.
        folder: where the pipeline's own folder is made.
        seed: of the weights.
        changes: of the network's configuration.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = PIPELINES[name](folder / f"{name}-tokenizers", changes)
        for component in pipeline.components.values():
            if isinstance(component, nn.Module):
                _randomise(component)
    place = folder / name
    pipeline.save_pretrained(place)
    return place


def _randomise(module: nn.Module) -> None:
    """Random weights everywhere, of a size that keeps activations near 1."""
    for name, parameter in module.named_parameters():
        if parameter.dim() > 1 and "table" not in name:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        else:
            scale_of_norm = "norm" in name and name.endswith("weight")
            nn.init.normal_(parameter, mean=1.0 if scale_of_norm else 0.0, std=0.2)
    module.eval()


def _dit(_: Path, changes: Mapping[str, Any]) -> Any:
    from diffusers import DDIMScheduler, DiTPipeline, DiTTransformer2DModel

    sizes = {
        "num_attention_heads": 4,
        "attention_head_dim": 8,
        "in_channels": 4,
        "out_channels": 8,
        "num_layers": 3,
        "sample_size": 8,
        "patch_size": 2,
        "num_embeds_ada_norm": 1000,
    }
    return DiTPipeline(
        DiTTransformer2DModel(**{**sizes, **changes}), _vae(), DDIMScheduler(beta_end=0.02)
    )


def _ddpm(_: Path, changes: Mapping[str, Any]) -> Any:
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    sizes = {
        "sample_size": 8,
        "in_channels": 3,
        "out_channels": 3,
        "layers_per_block": 1,
        "block_out_channels": (8, 16),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "norm_num_groups": 4,
        "attention_head_dim": 4,
    }
    return DDPMPipeline(UNet2DModel(**{**sizes, **changes}), DDPMScheduler())


def _sd15(tokenizers: Path, changes: Mapping[str, Any]) -> Any:
    from diffusers import PNDMScheduler, StableDiffusionPipeline

    scheduler = PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        steps_offset=1,
    )
    return StableDiffusionPipeline(
        _vae(),
        _clip(),
        _clip_tokenizer(tokenizers),
        _unet(changes),
        scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sd21(tokenizers: Path, changes: Mapping[str, Any]) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        steps_offset=1,
        clip_sample=False,
    )
    return StableDiffusionPipeline(
        _vae(),
        _clip(),
        _clip_tokenizer(tokenizers),
        _unet({"use_linear_projection": True, **changes}),
        scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sdxl(tokenizers: Path, changes: Mapping[str, Any]) -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    sizes = {
        "cross_attention_dim": 2 * _WIDTH,
        "transformer_layers_per_block": (1, 2),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": _WIDTH + 6 * 8,
    }
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )
    tokenizer = _clip_tokenizer(tokenizers)
    return StableDiffusionXLPipeline(
        _vae(),
        _clip(),
        _clip(projection=True),
        tokenizer,
        tokenizer,
        _unet({**sizes, **changes}),
        scheduler,
        add_watermarker=False,
    )


def _pixart(tokenizers: Path, changes: Mapping[str, Any]) -> Any:
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    sizes = {
        "num_attention_heads": 4,
        "attention_head_dim": 8,
        "in_channels": 4,
        "out_channels": 8,
        "num_layers": 3,
        "sample_size": 8,
        "patch_size": 2,
        "cross_attention_dim": 32,
        "caption_channels": _WIDTH,
        "interpolation_scale": 1,
        "use_additional_conditions": False,
    }
    network = PixArtTransformer2DModel(**{**sizes, **changes})
    scheduler = DPMSolverMultistepScheduler(beta_end=0.02, beta_schedule="linear")
    return PixArtSigmaPipeline(_t5_tokenizer(tokenizers), _t5(), _vae(), network, scheduler)


def _pixart_alpha(tokenizers: Path, changes: Mapping[str, Any]) -> Any:
    """As at 1024 pixels: the network is told the size."""
    from diffusers import DPMSolverMultistepScheduler, PixArtAlphaPipeline, PixArtTransformer2DModel

    sizes = {
        "num_attention_heads": 4,
        "attention_head_dim": 12,
        "in_channels": 4,
        "out_channels": 8,
        "num_layers": 2,
        "sample_size": 128,
        "patch_size": 2,
        "cross_attention_dim": 48,
        "caption_channels": _WIDTH,
    }
    network = PixArtTransformer2DModel(**{**sizes, **changes})
    scheduler = DPMSolverMultistepScheduler(beta_end=0.02, beta_schedule="linear")
    return PixArtAlphaPipeline(_t5_tokenizer(tokenizers), _t5(), _vae(), network, scheduler)


def _sd3(tokenizers: Path, changes: Mapping[str, Any]) -> Any:
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    sizes = {
        "sample_size": 8,
        "patch_size": 2,
        "in_channels": 4,
        "out_channels": 4,
        "num_layers": 3,
        "num_attention_heads": 4,
        "attention_head_dim": 8,
        "joint_attention_dim": _WIDTH,
        "caption_projection_dim": 32,
        "pooled_projection_dim": 2 * _WIDTH,
        "pos_embed_max_size": 8,
    }
    network = SD3Transformer2DModel(**{**sizes, **changes})
    tokenizer = _clip_tokenizer(tokenizers)
    vae = _vae(shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False)
    return StableDiffusion3Pipeline(
        network,
        FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae,
        _clip(projection=True),
        tokenizer,
        _clip(projection=True),
        tokenizer,
        _t5(),
        _t5_tokenizer(tokenizers),
    )


def _flux(tokenizers: Path, changes: Mapping[str, Any]) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    sizes = {
        "patch_size": 1,
        "in_channels": 16,
        "num_layers": 2,
        "num_single_layers": 2,
        "num_attention_heads": 4,
        "attention_head_dim": 8,
        "joint_attention_dim": _WIDTH,
        "pooled_projection_dim": _WIDTH,
        "axes_dims_rope": (2, 2, 4),
        "guidance_embeds": True,
    }
    return FluxPipeline(
        FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        _vae(shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False),
        _clip(),
        _clip_tokenizer(tokenizers),
        _t5(),
        _t5_tokenizer(tokenizers),
        FluxTransformer2DModel(**{**sizes, **changes}),
    )


def _sana(tokenizers: Path, changes: Mapping[str, Any]) -> Any:
    from diffusers import (
        AutoencoderDC,
        DPMSolverMultistepScheduler,
        SanaPipeline,
        SanaTransformer2DModel,
    )
    from transformers import Gemma2Config, Gemma2Model

    sizes = {
        "in_channels": 4,
        "out_channels": 4,
        "num_layers": 2,
        "num_attention_heads": 4,
        "attention_head_dim": 8,
        "num_cross_attention_heads": 4,
        "cross_attention_head_dim": 8,
        "cross_attention_dim": 32,
        "caption_channels": _WIDTH,
        "sample_size": 4,
    }
    vae = AutoencoderDC(
        latent_channels=4,
        attention_head_dim=4,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        encoder_qkv_multiscales=((),) * 4,
        decoder_qkv_multiscales=((),) * 4,
        encoder_layers_per_block=(1,) * 4,
        decoder_layers_per_block=(1,) * 4,
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.4,
    )
    encoder = Gemma2Model(
        Gemma2Config(
            vocab_size=200,
            hidden_size=_WIDTH,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
        )
    )
    scheduler = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    network = SanaTransformer2DModel(**{**sizes, **changes})
    return SanaPipeline(_gemma_tokenizer(tokenizers), encoder, vae, network, scheduler)


def _unet(changes: Mapping[str, Any]) -> Any:
    from diffusers import UNet2DConditionModel

    sizes = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "layers_per_block": 1,
        "block_out_channels": (8, 16),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": _WIDTH,
        "attention_head_dim": (2, 4),
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**{**sizes, **changes})


def _vae(**changes: Any) -> Any:
    from diffusers import AutoencoderKL

    sizes = {
        "block_out_channels": (8, 8),
        "down_block_types": ("DownEncoderBlock2D", "DownEncoderBlock2D"),
        "up_block_types": ("UpDecoderBlock2D", "UpDecoderBlock2D"),
        "latent_channels": 4,
        "norm_num_groups": 4,
        "sample_size": 16,
    }
    return AutoencoderKL(**{**sizes, **changes})


def _clip(*, projection: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    sizes: dict[str, Any] = {
        "hidden_size": _WIDTH,
        "intermediate_size": 37,
        "projection_dim": _WIDTH,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "max_position_embeddings": 77,
        "vocab_size": 2 * len(_LETTERS) + 2,
        "bos_token_id": 2 * len(_LETTERS),
        "eos_token_id": 2 * len(_LETTERS) + 1,
        "pad_token_id": 2 * len(_LETTERS) + 1,
    }
    kind = CLIPTextModelWithProjection if projection else CLIPTextModel
    return kind(CLIPTextConfig(**sizes))


def _t5() -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=len(_LETTERS) + 110,
            d_model=_WIDTH,
            d_kv=8,
            d_ff=37,
            num_layers=1,
            num_heads=4,
        )
    )


def _saved(tokenizer: Any, folder: Path) -> Any:
    """Through a folder, as a downloaded tokenizer comes."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    return type(tokenizer).from_pretrained(folder)


def _clip_tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    words = [*_LETTERS, *(f"{letter}</w>" for letter in _LETTERS)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)
    return _saved(tokenizer, folder / "clip")


def _t5_tokenizer(folder: Path) -> Any:
    from transformers import T5Tokenizer

    words = ["<pad>", "</s>", "<unk>", "▁", *_LETTERS]
    tokenizer = T5Tokenizer(vocab=[(word, 0.0) for word in words], model_max_length=77)
    return _saved(tokenizer, folder / "t5")


def _gemma_tokenizer(folder: Path) -> Any:
    from transformers import GemmaTokenizer

    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *_LETTERS]
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = GemmaTokenizer(vocab=vocabulary, merges=[], model_max_length=77)
    return _saved(tokenizer, folder / "gemma")


PIPELINES: Mapping[str, Callable[[Path, Mapping[str, Any]], Any]] = {
    "dit": _dit,
    "ddpm": _ddpm,
    "sd15": _sd15,
    "sd21": _sd21,
    "sdxl": _sdxl,
    "pixart": _pixart,
    "pixart_alpha": _pixart_alpha,
    "sd3": _sd3,
    "flux": _flux,
    "sana": _sana,
}
