"""The folder that diffusers loads: UNet2DModel, a scheduler, and a pipeline.

Needs no diffusers: its files are JSON, safetensors, and for models with classes a pipeline of
their own, since the pipelines of diffusers call a UNet2DModel without its class labels.
"""

import json
import re
from collections.abc import Mapping
from importlib.resources import files as package_files
from typing import Any

from safetensors.torch import save
from torch import Tensor

from iddm_cli.diffusion.lookup import build_schedule
from iddm_cli.engine.image_generator import build_solver_table
from iddm_cli.errors import UsageError
from iddm_cli.export.model_card import render_model_card
from iddm_cli.export.trained_model import TrainedModel
from iddm_cli.profiles.choices import (
    PREDICTIONS,
    SAMPLERS,
    SCHEDULES,
    DiffusersScheduler,
    Row,
    list_names,
)
from iddm_cli.profiles.model_settings import ModelSettings, UNetSettings
from iddm_cli.profiles.settings import DiffusionSettings, SamplingSettings

VERSION = "0.30.0"
"""The oldest diffusers whose configuration has all keys written here."""

NAME_RULES = (
    (r"^embedding\.perceptron\.0", "time_embedding.linear_1"),
    (r"^embedding\.perceptron\.2", "time_embedding.linear_2"),
    (r"^embedding\.classes", "class_embedding"),
    (r"^down\.(\d+)\.blocks", r"down_blocks.\1.resnets"),
    (r"^down\.(\d+)\.attentions", r"down_blocks.\1.attentions"),
    (r"^downsample\.(\d+)", r"down_blocks.\1.downsamplers.0"),
    (r"^middle\.before", "mid_block.resnets.0"),
    (r"^middle\.attention", "mid_block.attentions.0"),
    (r"^middle\.after", "mid_block.resnets.1"),
    (r"^up\.(\d+)\.blocks", r"up_blocks.\1.resnets"),
    (r"^up\.(\d+)\.attentions", r"up_blocks.\1.attentions"),
    (r"^upsample\.(\d+)", r"up_blocks.\1.upsamplers.0"),
    (r"^norm_out", "conv_norm_out"),
    (r"\.condition\.", ".time_emb_proj."),
    (r"\.shortcut\.", ".conv_shortcut."),
    (r"(attentions\.\d+)\.norm", r"\1.group_norm"),
    (r"(attentions\.\d+)\.query", r"\1.to_q"),
    (r"(attentions\.\d+)\.key", r"\1.to_k"),
    (r"(attentions\.\d+)\.value", r"\1.to_v"),
    (r"(attentions\.\d+)\.out", r"\1.to_out.0"),
)
"""Our names, as patterns, and those of UNet2DModel; later rules see what earlier ones made."""

CONDITIONINGS = {"scale_shift": "scale_shift", "shift": "default"}

MOST_BETA = 0.999


def to_diffusers_name(key: str) -> str:
    """Return what UNet2DModel calls one of our tensors."""
    for ours, theirs in NAME_RULES:
        key = re.sub(ours, theirs, key)
    return key


def build_diffusers_folder(model: TrainedModel) -> dict[str, bytes]:
    """Return the files of the folder, by their paths inside it.

    Raises:
        UsageError: The network, sampler, noise schedule or prediction type has no form there.
    """
    check_expressible(model.profile.model)
    classes = list(model.classes)
    scheduler = find_scheduler(model.profile.sampling)
    index: dict[str, Any] = {
        "_class_name": ["pipeline", "ClassConditionalPipeline"] if classes else scheduler.pipeline,
        "_diffusers_version": VERSION,
        "unet": ["diffusers", "UNet2DModel"],
        "scheduler": ["diffusers", scheduler.class_name],
    }
    made = {
        "unet/config.json": _json(network_config(model)),
        "unet/diffusion_pytorch_model.safetensors": save(weights(model)),
        "scheduler/scheduler_config.json": _json(
            scheduler_config(model.profile.diffusion, model.profile.sampling)
        ),
        "README.md": render_model_card(model, "diffusers").encode(),
    }
    if classes:
        index |= {"class_names": classes, "guidance_scale": model.profile.sampling.guidance}
        table = build_solver_table(model.profile.sampling, model.denoiser.schedule)
        index["num_inference_steps"] = len(table)
        code = package_files("iddm_cli.export") / "templates" / "pipeline.py"
        made["pipeline.py"] = code.read_bytes()
    if model.provenance.grid:
        made["samples.png"] = model.provenance.grid
    return {"model_index.json": _json(index), **made}


def check_expressible(model: ModelSettings) -> None:
    """Refuse a network that UNet2DModel cannot express.

    Raises:
        UsageError: It names the settings, and what would have a form.
    """
    wanted: dict[str, object] = {"network": "unet", "activation": "silu", "patch_size": 1}
    other = {key: value for key, value in wanted.items() if getattr(model, key, value) != value}
    if other:
        has = ", ".join(f"model.{key}: {getattr(model, key)}" for key in other)
        would = ", ".join(f"model.{key}: {value}" for key, value in other.items())
        raise UsageError(
            f"a network with {has} has no form in diffusers", f"One trained with {would} has."
        )


def sampling_difference(sampling: SamplingSettings) -> str:
    """Say what of the sampling settings the folder does not follow; nothing where it does."""
    sampler = find_scheduler(sampling).sampler
    if sampler != sampling.sampler:
        missing = f"sampling.sampler {sampling.sampler}"
        return f"the folder samples with {sampler}: {missing} has no form in it"
    for key, default in SAMPLERS[sampler].options.items():
        if (value := getattr(sampling, key)) != default:
            missing = f"sampling.{key} {value:g}"
            return f"the folder samples with {key} {default:g}: {missing} has no form in it"
    return ""


def find_scheduler(sampling: SamplingSettings) -> DiffusersScheduler:
    """Return the scheduler that a sampler is exported as.

    Raises:
        UsageError: The sampler has none; the hint names those that have.
    """
    scheduler = SAMPLERS[sampling.sampler].diffusers
    if scheduler is None:
        raise _no_form("sampling.sampler", sampling.sampler, SAMPLERS)
    return scheduler


def _no_form(key: str, name: str, rows: Mapping[Any, Row]) -> UsageError:
    """Return the error for a choice that diffusers does not have."""
    others = list_names(other for other, row in rows.items() if row.diffusers is not None)
    return UsageError(f"{key} {name} has no form in diffusers", f"Those that have: {others}.")


def weights(model: TrainedModel) -> dict[str, Tensor]:
    """Return the network's tensors under diffusers' names."""
    state = model.denoiser.backbone.state_dict()
    return {to_diffusers_name(key): tensor.contiguous() for key, tensor in state.items()}


def network_config(model: TrainedModel) -> dict[str, Any]:
    """Return UNet2DModel's configuration."""
    settings = model.profile.model
    assert isinstance(settings, UNetSettings), "refuse_what_has_no_form let nothing else pass"
    channels, height, width = model.shape
    count = len(settings.channel_multipliers)
    kinds = ["Attn" if level in settings.attention_levels else "" for level in range(count)]
    return {
        "_class_name": "UNet2DModel",
        "_diffusers_version": VERSION,
        "sample_size": height if height == width else [height, width],
        "in_channels": channels,
        "out_channels": channels,
        "block_out_channels": [settings.base_channels * m for m in settings.channel_multipliers],
        "layers_per_block": settings.blocks_per_level,
        "down_block_types": [f"{kind}DownBlock2D" for kind in kinds],
        "up_block_types": [f"{kind}UpBlock2D" for kind in reversed(kinds)],
        "attention_head_dim": settings.head_channels,
        "norm_num_groups": settings.norm_groups,
        "attn_norm_num_groups": settings.norm_groups,
        "norm_eps": settings.norm_eps,
        "act_fn": "silu",
        "dropout": settings.dropout,
        "resnet_time_scale_shift": CONDITIONINGS[settings.conditioning],
        "time_embedding_type": "positional",
        "flip_sin_to_cos": True,
        "freq_shift": settings.frequency_shift,
        "downsample_padding": settings.downsample_padding,
        "num_class_embeds": len(model.classes) + 1 if model.classes else None,
    }


def scheduler_config(diffusion: DiffusionSettings, sampling: SamplingSettings) -> dict[str, Any]:
    """Return the scheduler's configuration: the noise schedule by its name, or by its numbers.

    Raises:
        UsageError: The noise schedule, prediction type or sampler has no form in diffusers.
    """
    scheduler = find_scheduler(sampling)
    betas = build_schedule(diffusion.schedule, diffusion.timesteps).betas
    schedule = SCHEDULES[diffusion.schedule].diffusers
    if betas is None:
        raise _no_form("diffusion.schedule", diffusion.schedule, SCHEDULES)
    prediction = PREDICTIONS[diffusion.prediction].diffusers
    if prediction is None:
        raise _no_form("diffusion.prediction", diffusion.prediction, PREDICTIONS)
    scale = 1000 / diffusion.timesteps
    # Only cosine has a bound of its own in diffusers.
    bounded = schedule == "squaredcos_cap_v2" or float(betas.max()) < MOST_BETA
    named = schedule is not None and bounded
    return {
        "_class_name": scheduler.class_name,
        "_diffusers_version": VERSION,
        "num_train_timesteps": diffusion.timesteps,
        "beta_schedule": schedule if named else "linear",
        "beta_start": 1e-4 * scale,
        "beta_end": 0.02 * scale,
        "trained_betas": None if named else betas.tolist(),
        "prediction_type": prediction,
        "clip_sample": sampling.clip,
        "clip_sample_range": 1.0,
        "timestep_spacing": "trailing",
        "steps_offset": 0,
        **scheduler.config,
    }


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
