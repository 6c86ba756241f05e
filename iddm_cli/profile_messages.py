"""Messages about profiles: what pydantic found wrong, in plain words, with a suggestion."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iddm_cli.errors import did_you_mean

ALIASES = {
    "learning_rate": "training.lr",
    "lr0": "training.lr",
    "lr_func": "training.lr_schedule",
    "lr_scheduler": "training.lr_schedule",
    "warmup": "training.warmup_steps",
    "lr_warmup_steps": "training.warmup_steps",
    "batch": "training.batch_size",
    "train_batch_size": "training.batch_size",
    "bs": "training.batch_size",
    "gradient_accumulation_steps": "training.micro_batch",
    "micro_batch_size": "training.micro_batch",
    "num_epochs": "training.epochs",
    "num_train_epochs": "training.epochs",
    "max_steps": "training.steps",
    "max_train_steps": "training.steps",
    "train_num_steps": "training.steps",
    "optim": "training.optimizer",
    "ema": "training.ema_decay",
    "grad_clip": "training.gradient_clip",
    "max_grad_norm": "training.gradient_clip",
    "cond_drop_prob": "training.label_drop",
    "class_dropout_prob": "training.label_drop",
    "save_interval": "training.checkpoint_every",
    "save_every": "training.checkpoint_every",
    "save_steps": "training.checkpoint_every",
    "save_model_interval": "training.checkpoint_every",
    "start_model_interval": "training.checkpoint_from",
    "save_total_limit": "training.keep",
    "vis": "training.sample_every",
    "num_vis": "training.sample_count",
    "imgsz": "data.image_size",
    "img_size": "data.image_size",
    "resolution": "data.image_size",
    "size": "data.image_size",
    "dataset": "data.path",
    "dataset_path": "data.path",
    "data_dir": "data.path",
    "train_data_dir": "data.path",
    "in_channels": "data.channels",
    "num_workers": "data.workers",
    "flip": "data.horizontal_flip",
    "random_flip": "data.horizontal_flip",
    "num_classes": "data.conditional",
    "class_cond": "data.conditional",
    "act": "model.activation",
    "dim": "model.base_channels",
    "model_channels": "model.base_channels",
    "num_channels": "model.base_channels",
    "channel_mult": "model.channel_multipliers",
    "dim_mults": "model.channel_multipliers",
    "num_res_blocks": "model.blocks_per_level",
    "layers_per_block": "model.blocks_per_level",
    "attention_resolutions": "model.attention_levels",
    "num_head_channels": "model.head_channels",
    "attention_head_dim": "model.head_channels",
    "norm_num_groups": "model.norm_groups",
    "T": "diffusion.timesteps",
    "noise_steps": "diffusion.timesteps",
    "num_timesteps": "diffusion.timesteps",
    "num_train_timesteps": "diffusion.timesteps",
    "diffusion_steps": "diffusion.timesteps",
    "beta_schedule": "diffusion.schedule",
    "noise_schedule": "diffusion.schedule",
    "prediction_type": "diffusion.prediction",
    "objective": "diffusion.prediction",
    "cfg": "sampling.guidance",
    "cfg_scale": "sampling.guidance",
    "guidance_scale": "sampling.guidance",
    "num_inference_steps": "sampling.steps",
    "sampling_timesteps": "sampling.steps",
    "sample": "sampling.sampler",
    "scheduler": "sampling.sampler",
    "ddim_eta": "sampling.eta",
    "fp16": "runtime.precision",
    "amp": "runtime.precision",
    "mixed_precision": "runtime.precision",
    "dtype": "runtime.precision",
    "gpu": "runtime.device",
    "main_gpu": "runtime.device",
}
"""Names that other tools use, for suggestions only."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a profile: where, what, and what to do."""

    path: tuple[str | int, ...]
    problem: str
    hint: str = ""


def suggest_key(key: str, known: Sequence[str]) -> str:
    """Suggest the setting that was meant by an unknown one."""
    last = key.rsplit(".", 1)[-1]
    if last in ALIASES:
        return f"Did you mean {ALIASES[last]}?"
    if "." not in key and (hint := did_you_mean(key, {name.split(".")[0] for name in known})):
        return hint
    same = [name for name in known if name.rsplit(".", 1)[-1] == last]
    if same:
        return f"Did you mean {same[0]}?"
    if hint := did_you_mean(key, known):
        return hint
    folded = last.lower().replace("-", "_")
    short = {name.rsplit(".", 1)[-1]: name for name in known} | ALIASES
    near = did_you_mean(folded, short).removeprefix("Did you mean ").removesuffix("?")
    return f"Did you mean {short[near]}?" if near else "See: iddm profiles show demo"


def explain(error: Any, known: Sequence[str]) -> Fault:
    """Put one of pydantic's errors in plain words.

    Args:
        error: An entry of ValidationError.errors().
        known: Every dotted key.
    """
    path, kind = tuple(error["loc"]), error["type"]
    if kind == "extra_forbidden":
        key = ".".join(map(str, path))
        return Fault(path, f"unknown setting {key}", suggest_key(key, known))
    # A value that may be of several types is reported once for each: the first parts of the path
    # that are keys name it.
    path = path[:2] + tuple(part for part in path[2:] if isinstance(part, int))
    name = ".".join(map(str, path[:2]))
    given = _shown(error["input"])
    return Fault(path, f"{name} must be {_expected(error)}, not {given}", _choice_hint(error))


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a section"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)[:60]


def _expected(error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in BOUNDS:
        sign, key = BOUNDS[kind]
        return f"{sign} {context[key]:g}"
    if kind == "literal_error":
        return f"one of {context['expected']}".replace("'", "")
    if kind in ("too_short", "too_long"):
        return f"a list of {context.get('min_length', context.get('max_length'))} or so entries"
    return EXPECTED.get(kind, error["msg"][0].lower() + error["msg"][1:])


BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}

EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text (in quotes if it looks like a number)",
    "list_type": "a list such as [1, 2]",
    "model_type": "a section of settings",
    "string_too_short": "some text",
    "string_pattern_mismatch": "auto, cpu, mps, cuda, or cuda:N",
}


def _choice_hint(error: Any) -> str:
    if error["type"] != "literal_error" or not isinstance(error["input"], str):
        return ""
    choices = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
    return did_you_mean(error["input"], choices)
