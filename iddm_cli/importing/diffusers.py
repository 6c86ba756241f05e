"""Folders of diffusers with a UNet2DModel: a whole pipeline, or the network's folder alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from iddm_cli.engine.fit import Kinds, Tensors, first, kinds_in, refuse_long_header
from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.export.diffusers import CONDITIONINGS, renamed
from iddm_cli.importing import noise, untrusted
from iddm_cli.importing.files import read_json, refuse_what_is_no_file
from iddm_cli.importing.foreign import (
    Asked,
    Expect,
    Foreign,
    as_weights,
    check_names,
    check_weights,
    make_profile,
    picture_tables,
)
from iddm_cli.settings import Profile

WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
MOST_TENSORS = 8192

FIXED: dict[str, tuple[Any, ...]] = {
    "center_input_sample": (False,),
    "time_embedding_type": ("positional",),
    "mid_block_type": ("UNetMidBlock2D",),
    "mid_block_scale_factor": (1,),
    "downsample_type": ("conv",),
    "upsample_type": ("conv",),
    "act_fn": ("silu", "swish"),
    "add_attention": (True,),
    "class_embed_type": (None,),
    "num_train_timesteps": (None, 1000),
}
"""Keys of UNet2DModel that must have one of these values, of which the first is its default."""

DEFAULTS: dict[str, Any] = {
    "_class_name": "UNet2DModel",
    "sample_size": None,
    "in_channels": 3,
    "out_channels": 3,
    "time_embedding_dim": None,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "down_block_types": ["DownBlock2D", *["AttnDownBlock2D"] * 3],
    "up_block_types": [*["AttnUpBlock2D"] * 3, "UpBlock2D"],
    "block_out_channels": [224, 448, 672, 896],
    "layers_per_block": 2,
    "downsample_padding": 1,
    "dropout": 0.0,
    "attention_head_dim": 8,
    "norm_num_groups": 32,
    "attn_norm_num_groups": None,
    "norm_eps": 1e-5,
    "resnet_time_scale_shift": "default",
    "num_class_embeds": None,
}
"""The other keys, with the defaults of UNet2DModel, which apply where one is left out."""

FORMER = (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0"))
"""What layers of attention were called before diffusers 0.18, and are since."""

OURS = ("unet", "scheduler", "class_names", "guidance_scale", "num_inference_steps")


@dataclass(frozen=True)
class Folder:
    """A folder of diffusers: what its three JSON files say, and where its weights are."""

    weights: Path
    index: dict[str, Any]
    network: dict[str, Any]
    scheduler: dict[str, Any] | None


def read(path: Path, asked: Asked, expect: Expect) -> Foreign:
    """Read a folder of diffusers.

    Raises:
        CheckpointError: It is none, it is damaged, it says what no profile can, or a tensor of it
            is not accounted for.
        UsageError: What it does not say is to be given as an option.
    """
    asked.refuse("activation", why="the folder says it itself")
    folder = open_folder(path)
    notes: list[str] = []
    rows = folder.network["num_class_embeds"]
    if rows is not None and (type(rows) is not int or not 1 <= rows <= 2**20):
        raise CheckpointError(f"num_class_embeds: {first(rows)} is no number of classes")
    classes, last_means_none = _classes(folder, asked, rows or 0)
    profile = _profile(folder, asked, len(classes), last_means_none, notes)
    expected = expect(profile, len(classes))
    theirs = {renamed(name): name for name in expected}
    wanted = {name: expected[ours] for name, ours in theirs.items()}
    if rows and not last_means_none:
        wanted["class_embedding.weight"] = ([rows, expected["embedding.classes.weight"][0][1]],
                                            "float32")  # fmt: skip
    tensors = _read_weights(folder.weights, wanted)
    weights = {ours: tensors[name] for name, ours in theirs.items()}
    if rows and not last_means_none:
        weights["embedding.classes.weight"] = _with_row_of_zeros(
            weights["embedding.classes.weight"]
        )
    if not folder.network["flip_sin_to_cos"]:
        weights["embedding.perceptron.0.weight"] = cosines_first(
            weights["embedding.perceptron.0.weight"]
        )
    notes.append("the folder holds one set of weights, which stand for raw and average alike")
    return Foreign("diffusers", profile, classes, weights, weights, tuple(notes))


def open_folder(path: Path) -> Folder:
    """Find the parts of a folder: in folders of their own, all in one, or the network alone.

    Raises:
        CheckpointError: A part is missing, or there are others.
    """
    index = read_json(path / "model_index.json") if (path / "model_index.json").exists() else {}
    place = path / "unet" if (path / "unet").is_dir() else path
    if not (place / "config.json").exists():
        raise CheckpointError(
            f"{path} is no folder of diffusers: it has neither config.json nor unet/config.json"
        )
    for key, value in index.items():
        part = isinstance(value, list) and value != [None, None]
        if part and not key.startswith("_") and key not in OURS:
            raise CheckpointError(
                f"{path} has a {first(key)} besides its network, which cannot be imported",
                "Models of the pixels of pictures can be: a unet and a scheduler alone.",
            )
    file = "scheduler_config.json"
    found = [p for p in (path / "scheduler" / file, place / file, path / file) if p.exists()]
    return Folder(
        weights=_weights_file(place),
        index=index,
        network=checked_config(read_json(place / "config.json")),
        scheduler=read_json(found[0]) if found else None,
    )


def _weights_file(place: Path) -> Path:
    for name in WEIGHTS:
        if (place / name).exists():
            refuse_what_is_no_file(place / name)
            return place / name
    raise CheckpointError(
        f"{place} has neither {' nor '.join(WEIGHTS)}",
        "Weights in several files, or of half precision alone: load and save them with diffusers.",
    )


def checked_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the network's configuration with its defaults.

    Raises:
        CheckpointError: A key has a value that our network cannot have; it is named.
    """
    for key, value in config.items():
        if key in FIXED and value not in FIXED[key]:
            allowed = " or ".join(str(one) for one in FIXED[key])
            raise CheckpointError(f"config.json: {key} must be {allowed}, not {first(value)}")
        known = key in FIXED or key in DEFAULTS or key.startswith("_")
        if not known and value is not None:
            raise CheckpointError(f"config.json: {first(key)} is no key of a UNet2DModel")
    full = DEFAULTS | config
    for key, wanted in (
        ("_class_name", "UNet2DModel"),
        ("out_channels", full["in_channels"]),
        ("attn_norm_num_groups", _attention_groups(full)),
        ("up_block_types", _mirrored(full["down_block_types"])),
    ):
        if full[key] != wanted:
            told = f"{first(wanted)}, not {first(full[key])}"
            raise CheckpointError(f"config.json: {key} must be {told}")
    return full


def _attention_groups(config: dict[str, Any]) -> Any:
    """Return what attn_norm_num_groups must be: its default differs with the conditioning."""
    left_out = config["attn_norm_num_groups"] is None
    default = config["resnet_time_scale_shift"] == "default"
    return None if left_out and default else config["norm_num_groups"]


def _mirrored(down: Any) -> list[str]:
    """Return the up_block_types that belong to down_block_types.

    Raises:
        CheckpointError: There is a block that we do not have.
    """
    ups = {"DownBlock2D": "UpBlock2D", "AttnDownBlock2D": "AttnUpBlock2D"}
    kinds = down if isinstance(down, list) else [None]
    for kind in kinds:
        if not isinstance(kind, str) or kind not in ups:
            raise CheckpointError(
                f"config.json: down_block_types must be of {' and '.join(ups)}, not {first(kind)}"
            )
    return [ups[kind] for kind in reversed(kinds)]


def _classes(folder: Folder, asked: Asked, rows: int) -> tuple[tuple[str, ...], bool]:
    """Return the names of the classes, and whether the last row of the table means none.

    It does where there is one name fewer than rows, as in what iddm exports.
    """
    stored = folder.index.get("class_names")
    names = check_names(stored) if stored and asked.class_names is None else asked.class_names
    if rows and names is not None and len(names) == rows - 1:
        return names, True
    if stored and names is not None and len(names) != rows:
        names = None
    return asked.names(rows, names), False


def _profile(
    folder: Folder, asked: Asked, classes: int, last_means_none: bool, notes: list[str]
) -> Profile:
    """Return the profile; what had to be assumed for it is added to the notes."""
    size = asked.image_size or folder.network["sample_size"]
    if size is None:
        raise UsageError(
            "config.json has no sample_size", "Give the size of its pictures: --image-size 64."
        )
    tables = _noise(folder, asked, notes)
    tables["data"] = picture_tables(size, folder.network["in_channels"], classes=classes)
    tables["model"] = _model(folder.network)
    if classes and not last_means_none:
        tables["sampling"]["guidance"] = 1.0
        notes.append("it has not learnt pictures without a class, so sampling.guidance is 1: none")
    elif isinstance(folder.index.get("guidance_scale"), int | float):
        tables["sampling"]["guidance"] = float(folder.index["guidance_scale"])
    steps = folder.index.get("num_inference_steps")
    if type(steps) is int and steps > 0:
        tables["sampling"]["steps"] = min(steps, tables["diffusion"]["timesteps"])
    return make_profile(tables, asked)


def _noise(folder: Folder, asked: Asked, notes: list[str]) -> dict[str, dict[str, Any]]:
    if folder.scheduler is not None:
        asked.refuse("schedule", why="the folder has a scheduler, which says it")
        return noise.tables_of(folder.scheduler)
    assumed = asked.schedule or "linear"
    notes.append(f"there is no scheduler: {assumed} noise over 1000 steps is assumed (--schedule)")
    notes.append("there is no scheduler: that the network predicts the noise is assumed")
    return {"diffusion": {"schedule": assumed}, "sampling": {}}


def _model(config: dict[str, Any]) -> dict[str, Any]:
    """Return the model section of a UNet2DModel's configuration."""
    widths = config["block_out_channels"]
    numbers = isinstance(widths, list) and all(type(w) is int and w > 0 for w in widths)
    if not numbers or not widths or any(width % widths[0] for width in widths):
        raise CheckpointError(
            f"config.json: block_out_channels must be multiples of the first, not {first(widths)}"
        )
    if config["time_embedding_dim"] not in (None, 4 * widths[0]):
        raise CheckpointError(f"config.json: time_embedding_dim must be {4 * widths[0]}")
    conditionings = {theirs: ours for ours, theirs in CONDITIONINGS.items()}
    kind = config["resnet_time_scale_shift"]
    if kind not in conditionings:
        raise CheckpointError(
            f"config.json: resnet_time_scale_shift must be {' or '.join(conditionings)}, "
            f"not {first(kind)}"
        )
    attended = [i for i, kind in enumerate(config["down_block_types"]) if "Attn" in kind]
    return {
        "base_channels": widths[0],
        "channel_multipliers": [width // widths[0] for width in widths],
        "blocks_per_level": config["layers_per_block"],
        "attention_levels": attended,
        "head_channels": config["attention_head_dim"],
        "norm_groups": config["norm_num_groups"],
        "dropout": config["dropout"],
        "conditioning": conditionings[kind],
        "norm_eps": config["norm_eps"],
        "downsample_padding": config["downsample_padding"],
        "frequency_shift": config["freq_shift"],
    }


def _read_weights(path: Path, wanted: Kinds) -> Tensors:
    """Read the tensors that are wanted, once all of them are accounted for.

    Raises:
        CheckpointError: They are not, or the file is damaged.
    """
    if path.suffix == ".bin":
        table = untrusted.tensors_in(untrusted.look_into(path), str(path))
        names = by_present_names(table, path)
        check_weights(wanted, untrusted.kinds(untrusted.pick(table, names)), str(path))
        return as_weights(untrusted.pick(untrusted.load(path), names), str(path))
    try:
        refuse_long_header(path, MOST_TENSORS)
        found = kinds_in(path)
        names = by_present_names(found, path)
        check_weights(wanted, {ours: found[name] for ours, name in names.items()}, str(path))
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {first(error)}") from error
    return as_weights(untrusted.pick(tensors, names), str(path))


def by_present_names(found: Iterable[str], path: Path) -> dict[str, str]:
    """Return the file's names of its tensors by those of today.

    Raises:
        CheckpointError: Two of them mean the same.
    """
    names: dict[str, str] = {}
    for name in found:
        other = names.setdefault(present_name(name), name)
        if other != name:
            raise CheckpointError(f"{path}: {first(name)} and {first(other)} are the same")
    return names


def present_name(name: str) -> str:
    """Return what diffusers calls a tensor today."""
    for former, today in FORMER:
        name = name.replace(f".{former}.", f".{today}.") if "attentions." in name else name
    return name


def cosines_first(weight: Tensor) -> Tensor:
    """Let the first layer take a time code whose cosines come first, not its sines."""
    sines, cosines = weight.chunk(2, dim=1)
    return torch.cat([cosines, sines], dim=1).contiguous()


def _with_row_of_zeros(table: Tensor) -> Tensor:
    return torch.cat([table, torch.zeros_like(table[:1])])
