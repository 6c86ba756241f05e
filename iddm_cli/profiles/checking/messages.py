"""Messages about profiles: pydantic's validation errors in plain words, with suggestions."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from iddm_cli.errors import did_you_mean
from iddm_cli.profiles.checking.issues import Issue
from iddm_cli.profiles.model_settings import list_owners
from iddm_cli.profiles.profile import list_keys
from iddm_cli.profiles.settings import DURATION
from iddm_cli.records.weights_names import AVERAGE_NAME

KEY_ALIASES = {
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
    "gradient_checkpointing": "training.recompute",
    "enable_gradient_checkpointing": "training.recompute",
    "use_checkpoint": "training.recompute",
    "torch_compile": "runtime.compile",
    "allow_tf32": "runtime.tf32",
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
    "disc_weight": "model.discriminator_weight",
    "disc_start": "model.discriminator_start",
    "disc_num_layers": "model.discriminator_layers",
    "ndf": "model.discriminator_channels",
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


VALUE_ALIASES = {
    "dpm++": "dpmpp-2m",
    "dpmpp": "dpmpp-2m",
    "dpmsolver++": "dpmpp-2m",
    "squaredcos_cap_v2": "cosine",
    "scaled_linear": "sqrt_linear",
    "v_prediction": "v",
    "velocity": "v",
    "noise": "epsilon",
    "sample": "x",
    "half": "fp16",
    "float16": "fp16",
    "float32": "fp32",
    "bfloat16": "bf16",
}
"""Values that other tools use, for suggestions only."""

MAX_REPORTED = 20
"""Most issues that one message lists; it counts the rest."""


def suggest_key(key: str) -> str:
    """Return a hint with the setting that an unknown key probably means, of its own section first.

    Args:
        key: Dotted, or the last part only.
    """
    if key in list_keys():  # a dotted key where a section was expected
        section, _, last = key.partition(".")
        return f"Write it as two lines: {section}: and, indented, {last}:"
    section, _, last = key.rpartition(".")
    short = {name.rsplit(".", 1)[-1]: name for name in reversed(list_keys())} | KEY_ALIASES
    if last in short:
        return f"Did you mean {_prefer_section(section, short[last])}?"
    sections = {name.split(".")[0] for name in list_keys()}
    if not section and (hint := did_you_mean(key, sections)):
        return hint
    folded = last.lower().replace("-", "_")
    near = did_you_mean(folded, short).removeprefix("Did you mean ").removesuffix("?")
    if not near:
        return "See: iddm profiles show demo"
    return f"Did you mean {_prefer_section(section, short[near])}?"


def _prefer_section(section: str, name: str) -> str:
    """Return the section's own setting if it has one: both training and sampling have steps."""
    own = f"{section}.{name.rsplit('.', 1)[-1]}"
    return own if own in list_keys() else name


def explain_errors(error: ValidationError) -> list[Issue]:
    """Return one issue for each wrong value, up to MAX_REPORTED of them and a count of the rest.

    Pydantic reports a value that may have several types once for each of them.
    """
    by_value: dict[tuple[str | int, ...], list[Any]] = {}
    for detail in error.errors():
        by_value.setdefault(_find_path(detail), []).append(detail)
    # If an item of a list is wrong, the error that the list is not a number adds nothing.
    outer = {path[:end] for path in by_value for end in range(2, len(path))}
    wrong = [(path, details) for path, details in by_value.items() if path not in outer]
    issues = [_explain(path, details) for path, details in wrong[:MAX_REPORTED]]
    more = len(wrong) - len(issues)
    return [*issues, Issue((), f"and {more:,} more mistakes")] if more else issues


def _find_path(error: Any) -> tuple[str | int, ...]:
    """Return section, key and index of a value, without what pydantic adds to them."""
    path = tuple(error["loc"])
    if error["type"] == "union_tag_invalid":
        return (*path, "network")
    if path[0] == "model":
        path = path[:1] + path[2:]  # the second part is the backbone
    if error["type"] == "extra_forbidden":
        return path
    # After section and key, pydantic adds the type that it tried; numbers are indices.
    return path[:2] + tuple(part for part in path[2:] if isinstance(part, int))


def _explain(path: tuple[str | int, ...], errors: Sequence[Any]) -> Issue:
    if errors[0]["type"] == "extra_forbidden":
        return _explain_unknown_key(path, errors[0])
    name = ".".join(map(str, path[:2]))
    expected = " or ".join(_describe_expected(error) for error in errors)
    given = _format_value(_get_input(errors[0]))
    hints = (_suggest_choice(error) for error in errors)
    return Issue(path, f"{name} must be {expected}, not {given}", next(filter(None, hints), ""))


def _explain_unknown_key(path: tuple[str | int, ...], error: Any) -> Issue:
    key = ".".join(str(part) or "''" for part in path)
    owners = list_owners(str(path[-1])) if path[0] == "model" and len(path) == 2 else []
    if owners:
        network = error["loc"][1]
        return Issue(
            path, f"{key} belongs to {', '.join(owners)}, not to {network}", "Leave it out."
        )
    return Issue(path, f"unknown setting {key}", suggest_key(key))


def _get_input(error: Any) -> object:
    is_network = error["type"] == "union_tag_invalid"
    return error["input"]["network"] if is_network else error["input"]


def _format_value(value: object) -> str:
    if isinstance(value, dict):
        return "a section"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."


def _describe_expected(error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in BOUNDS:
        sign, key = BOUNDS[kind]
        return f"{sign} {format_bound(context[key])}"
    if kind in CHOICES:
        *others, last = _list_choices(error)
        return f"one of {', '.join(others)} or {last}" if others else last
    if kind == "string_pattern_mismatch":
        return PATTERNS[context["pattern"]]
    if kind == "too_short":
        return f"a list with {context['min_length']} or more entries"
    if kind == "too_long":
        return f"a list with {context['max_length']} or fewer entries"
    return EXPECTED.get(kind, error["msg"][0].lower() + error["msg"][1:])


def format_bound(number: float) -> str:
    """Return a bound in a readable form: 0.5, 1,048,576, 10^9."""
    if number in ROUND:
        return ROUND[number]
    return f"{number:,.0f}" if number >= 10_000 else f"{number:g}"


ROUND: dict[float, str] = {10**9: "10^9", 2**63: "2^63"}


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
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text (in quotes if it looks like a number)",
    "list_type": "a list such as [1, 2]",
    "model_type": "a section of settings",
    "string_too_short": "some text",
    "string_too_long": "shorter text",
    "string_unicode": "text in UTF-8",
}

PATTERNS = defaultdict(
    lambda: "auto, cpu, mps, cuda, or cuda:N",
    {DURATION: "a time such as 8h, 90m or 1d12h", AVERAGE_NAME: "a name such as average-0.1"},
)
"""What the texts that match a pattern are."""


CHOICES = {"literal_error": "expected", "union_tag_invalid": "expected_tags"}
"""Where pydantic lists the allowed values of an error, by its type."""


def _list_choices(error: Any) -> list[str]:
    listed: str = error["ctx"][CHOICES[error["type"]]]
    return listed.replace("'", "").replace(" or ", ", ").split(", ")


def _suggest_choice(error: Any) -> str:
    value = _get_input(error)
    if error["type"] not in CHOICES or not isinstance(value, str):
        return ""
    return did_you_mean(VALUE_ALIASES.get(value.lower(), value), _list_choices(error))
