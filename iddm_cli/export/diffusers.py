"""Export to a folder that diffusers loads: UNet2DModel, a scheduler, and a pipeline.

The export does not need diffusers: it writes JSON, safetensors and, for models with classes, a
pipeline of its own, because the pipelines of diffusers call a UNet2DModel without class labels.
"""

import json
import re
from collections.abc import Mapping
from importlib.resources import files as package_files
from typing import Any

from safetensors.torch import save
from torch import Tensor

from iddm_cli.diffusion.lookup import build_profile_schedule
from iddm_cli.engine.sampling.solver_choice import build_solver_table
from iddm_cli.errors import UsageError
from iddm_cli.export.formats import ExportArtifact, Progress
from iddm_cli.export.model_card import render_model_card
from iddm_cli.export.trained_model import TrainedModel
from iddm_cli.profiles.choices import (
    DDIM_SCHEDULER,
    PREDICTIONS,
    SAMPLERS,
    SCHEDULES,
    DiffusersScheduler,
    RowOfDiffusers,
    list_names,
)
from iddm_cli.profiles.model_settings import ModelSettings, UNetSettings
from iddm_cli.profiles.settings import ResolvedDiffusionSettings, SamplingSettings

VERSION = "0.30.0"
"""The oldest version of diffusers that knows every key written here."""

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
"""Patterns of our parameter names and UNet2DModel's names for them, applied in this order."""

CONDITIONINGS = {"scale_shift": "scale_shift", "shift": "default"}

MAX_BETA = 0.999
MAX_THRESHOLD = 1e9
"""diffusers limits what dynamic thresholding divides by, to 1 by default; here nothing does."""


def to_diffusers_name(key: str) -> str:
    """Return UNet2DModel's name of a parameter."""
    for ours, theirs in NAME_RULES:
        key = re.sub(ours, theirs, key)
    return key


def export_diffusers(model: TrainedModel, *, progress: Progress) -> ExportArtifact:
    """Export a model as a folder for diffusers.

    Raises:
        UsageError: UNet2DModel cannot express the network.
    """
    with progress("exporting"):
        files = build_diffusers_folder(model)
    differences = (
        describe_sampling_difference(model.profile.sampling, has_classes=bool(model.classes)),
        describe_value_difference(model),
    )
    return ExportArtifact(files, warnings=tuple(filter(None, differences)))


def build_diffusers_folder(model: TrainedModel) -> dict[str, bytes]:
    """Return the content of each file by its path inside the folder.

    Raises:
        UsageError: UNet2DModel cannot express the network.
    """
    check_expressible(model.profile.model)
    sampling = model.profile.sampling
    classes = list(model.classes)
    scheduler = find_scheduler(sampling, has_classes=bool(classes))
    index: dict[str, Any] = {
        "_class_name": ["pipeline", "ClassConditionalPipeline"] if classes else scheduler.pipeline,
        "_diffusers_version": VERSION,
        "unet": ["diffusers", "UNet2DModel"],
        "scheduler": ["diffusers", scheduler.class_name],
    }
    files = {
        "unet/config.json": _encode_json(build_network_config(model)),
        "unet/diffusion_pytorch_model.safetensors": save(convert_weights(model)),
        "scheduler/scheduler_config.json": _encode_json(
            build_scheduler_config(model.profile.diffusion, sampling, scheduler)
        ),
        "README.md": render_model_card(model, "diffusers").encode(),
    }
    if classes:
        index |= {
            "class_names": classes,
            "guidance_scale": sampling.guidance,
            "guidance_interval": sampling.guidance_interval,
        }
        table = build_solver_table(sampling, model.denoiser.schedule, tables=model.tables)
        index["num_inference_steps"] = len(table)
        code = package_files("iddm_cli.export") / "templates" / "pipeline.py"
        files["pipeline.py"] = code.read_bytes()
    if model.provenance.sample_grid:
        files["samples.png"] = model.provenance.sample_grid
    return {"model_index.json": _encode_json(index), **files}


def check_expressible(model: ModelSettings) -> None:
    """Check that UNet2DModel can express a network.

    Raises:
        UsageError: It cannot; the message names the settings.
    """
    required: dict[str, object] = {"network": "unet"}
    if isinstance(model, UNetSettings):
        required = {"activation": "silu", "patch_size": 1, "qk_norm": False}
    other = {key: value for key, value in required.items() if getattr(model, key) != value}
    if other:
        actual = ", ".join(f"model.{key}: {getattr(model, key)}".lower() for key in other)
        needed = ", ".join(f"model.{key}: {value}".lower() for key, value in other.items())
        raise UsageError(
            f"diffusers cannot express a network with {actual}",
            f"Train a model with {needed}, or export to another format.",
        )


def describe_sampling_difference(sampling: SamplingSettings, *, has_classes: bool = True) -> str:
    """Return a sentence about the sampling settings that the folder cannot follow, or ""."""
    scheduler = find_scheduler(sampling, has_classes=has_classes)
    sampler = scheduler.sampler
    if sampler != sampling.sampler:
        missing = f"sampling.sampler {sampling.sampler}"
        if find_scheduler(sampling).sampler == sampling.sampler:
            missing += " without classes"
        return f"the folder samples with {sampler}: diffusers cannot express {missing}"
    for key, default in SAMPLERS[sampler].options.items():
        if key not in scheduler.options and (value := getattr(sampling, key)) != default:
            missing = f"sampling.{key} {value:g}"
            return (
                f"the folder samples with {key} {default:g}: its pipeline cannot express {missing}"
            )
    if sampling.grid != "trailing":
        missing = f"sampling.grid {sampling.grid}"
        return f"the folder samples on the trailing time grid: it cannot express {missing}"
    if sampling.guidance_rescale:
        missing = f"sampling.guidance_rescale {sampling.guidance_rescale:g}"
        return f"the folder rescales no guidance: its pipeline cannot express {missing}"
    return ""


def describe_value_difference(model: TrainedModel) -> str:
    """Return a sentence about values that the pipeline's images cannot hold, or ""."""
    if model.values.is_8_bit and model.shape[0] in (1, 3):
        return ""
    return (
        'the pipeline generates numbers from 0 to 1 (output_type="np"): README.md says how they '
        f"become {model.values.describe()}"
    )


def find_scheduler(sampling: SamplingSettings, *, has_classes: bool = True) -> DiffusersScheduler:
    """Return the scheduler that a sampler is exported as.

    Args:
        sampling: The sampling settings.
        has_classes: Whether the folder has a pipeline of its own, which takes any scheduler.

    Raises:
        UsageError: The sampler has none; the hint names those that have.
    """
    scheduler = SAMPLERS[sampling.sampler].diffusers
    if scheduler is None:
        raise _not_expressible("sampling.sampler", sampling.sampler, SAMPLERS)
    return scheduler if has_classes or scheduler.pipeline is not None else DDIM_SCHEDULER


def _not_expressible(key: str, name: str, rows: Mapping[Any, RowOfDiffusers]) -> UsageError:
    """Return the error for a choice that diffusers does not have."""
    others = list_names(other for other, row in rows.items() if row.diffusers is not None)
    return UsageError(f"diffusers cannot express {key} {name}", f"It can express {others}.")


def convert_weights(model: TrainedModel) -> dict[str, Tensor]:
    """Return the network's tensors by diffusers' names."""
    state = model.denoiser.backbone.state_dict()
    return {to_diffusers_name(key): tensor.contiguous() for key, tensor in state.items()}


def build_network_config(model: TrainedModel) -> dict[str, Any]:
    """Return the configuration of UNet2DModel."""
    settings = model.profile.model
    assert isinstance(settings, UNetSettings), "see check_expressible"
    channels, height, width = model.shape
    count = len(settings.channel_multipliers)
    prefixes = ["Attn" if level in settings.attention_levels else "" for level in range(count)]
    return {
        "_class_name": "UNet2DModel",
        "_diffusers_version": VERSION,
        "sample_size": height if height == width else [height, width],
        "in_channels": channels,
        "out_channels": channels,
        "block_out_channels": [settings.base_channels * m for m in settings.channel_multipliers],
        "layers_per_block": settings.blocks_per_level,
        "down_block_types": [f"{prefix}DownBlock2D" for prefix in prefixes],
        "up_block_types": [f"{prefix}UpBlock2D" for prefix in reversed(prefixes)],
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


def build_scheduler_config(
    diffusion: ResolvedDiffusionSettings, sampling: SamplingSettings, scheduler: DiffusersScheduler
) -> dict[str, Any]:
    """Return the configuration of a scheduler; its noise schedule by name or as betas.

    Raises:
        UsageError: diffusers cannot express the noise schedule or prediction type.
    """
    betas = build_profile_schedule(diffusion).betas
    if betas is None:
        raise _not_expressible("diffusion.schedule", diffusion.schedule, SCHEDULES)
    prediction = PREDICTIONS[diffusion.prediction].diffusers
    if prediction is None:
        raise _not_expressible("diffusion.prediction", diffusion.prediction, PREDICTIONS)
    schedule = SCHEDULES[diffusion.schedule].diffusers
    scale = 1000 / diffusion.timesteps
    # diffusers clips the betas of its cosine schedule only, at the same value as we do.
    same_betas = schedule == "squaredcos_cap_v2" or float(betas.max()) < MAX_BETA
    is_plain = diffusion.noise_shift == 1 and not diffusion.zero_terminal_snr
    by_name = schedule is not None and is_plain and same_betas
    return {
        "_class_name": scheduler.class_name,
        "_diffusers_version": VERSION,
        "num_train_timesteps": diffusion.timesteps,
        "beta_schedule": schedule if by_name else "linear",
        "beta_start": 1e-4 * scale,
        "beta_end": 0.02 * scale,
        "trained_betas": None if by_name else betas.tolist(),
        "prediction_type": prediction,
        "timestep_spacing": "trailing",
        "steps_offset": 0,
        **scheduler.config,
        **{theirs: sampling.sampler_options[ours] for ours, theirs in scheduler.options.items()},
        **(scheduler.clipping if sampling.clip else {}),
        **(build_thresholding(sampling) if sampling.threshold else {}),
    }


def build_thresholding(sampling: SamplingSettings) -> dict[str, Any]:
    """Return a scheduler's configuration of dynamic thresholding."""
    return {
        "thresholding": True,
        "dynamic_thresholding_ratio": sampling.threshold,
        "sample_max_value": MAX_THRESHOLD,
    }


def _encode_json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
