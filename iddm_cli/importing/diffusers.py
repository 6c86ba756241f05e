"""Folders of diffusers with a UNet2DModel: a whole pipeline, or the network's folder alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from iddm_cli.checkpoints.tensors import (
    Tensors,
    TensorSpecs,
    check_header_length,
    read_specs,
    truncate,
)
from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.export.diffusers import to_diffusers_name
from iddm_cli.importing import diffusers_scheduler as noise
from iddm_cli.importing import torch_file, unet2d
from iddm_cli.importing.files import read_json, refuse_what_is_no_file
from iddm_cli.importing.imported_model import (
    Expect,
    ImportedModel,
    ImportOptions,
    as_weights,
    check_names,
    check_weights,
    make_profile,
    picture_tables,
)
from iddm_cli.profiles.profile import ResolvedProfile

WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
MOST_TENSORS = 8192

FORMER = (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0"))
"""What layers of attention were called before diffusers 0.18, and are since."""

CLASSES, FIRST_OF_TIME = "embedding.classes.weight", "embedding.perceptron.0.weight"

OURS = ("unet", "scheduler", "class_names", "guidance_scale", "num_inference_steps")


@dataclass(frozen=True)
class Folder:
    """A folder of diffusers: what its three JSON files say, and where its weights are."""

    weights: Path
    index: dict[str, Any]
    network: dict[str, Any]
    scheduler: dict[str, Any] | None


def read(path: Path, asked: ImportOptions, expect: Expect) -> ImportedModel:
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
        raise CheckpointError(f"num_class_embeds: {truncate(rows)} is no number of classes")
    classes, last_means_none = _classes(folder, asked, rows or 0)
    profile = _profile(folder, asked, len(classes), last_means_none, notes)
    expected = expect(profile, len(classes))
    weights = _read_weights(folder.weights, expected, rows=rows, last_means_none=last_means_none)
    if not folder.network["flip_sin_to_cos"]:
        weights[FIRST_OF_TIME] = cosines_first(weights[FIRST_OF_TIME])
    notes.append("the folder holds one set of weights, which stand for raw and average alike")
    return ImportedModel("diffusers", profile, classes, weights, weights, tuple(notes))


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
                f"{path} has a {truncate(key)} besides its network, which cannot be imported",
                "Models of the pixels of pictures can be: a unet and a scheduler alone.",
            )
    file = "scheduler_config.json"
    found = [p for p in (path / "scheduler" / file, place / file, path / file) if p.exists()]
    return Folder(
        weights=_weights_file(place),
        index=index,
        network=unet2d.checked(read_json(place / "config.json")),
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


def _classes(folder: Folder, asked: ImportOptions, rows: int) -> tuple[tuple[str, ...], bool]:
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
    folder: Folder, asked: ImportOptions, classes: int, last_means_none: bool, notes: list[str]
) -> ResolvedProfile:
    """Return the profile; what had to be assumed for it is added to the notes."""
    size = asked.image_size or folder.network["sample_size"]
    if size is None:
        raise UsageError(
            "config.json has no sample_size", "Give the size of its pictures: --image-size 64."
        )
    tables = _noise(folder, asked, notes)
    tables["data"] = picture_tables(size, folder.network["in_channels"], classes=classes)
    tables["model"] = unet2d.model_section(folder.network)
    if classes and not last_means_none:
        tables["sampling"]["guidance"] = 1.0
        notes.append("it has not learnt pictures without a class, so sampling.guidance is 1: none")
    elif isinstance(folder.index.get("guidance_scale"), int | float):
        tables["sampling"]["guidance"] = float(folder.index["guidance_scale"])
    steps = folder.index.get("num_inference_steps")
    if type(steps) is int and steps > 0:
        tables["sampling"]["steps"] = min(steps, tables["diffusion"]["timesteps"])
    return make_profile(tables, asked)


def _noise(folder: Folder, asked: ImportOptions, notes: list[str]) -> dict[str, dict[str, Any]]:
    if folder.scheduler is not None:
        asked.refuse("schedule", why="the folder has a scheduler, which says it")
        return noise.tables_of(folder.scheduler)
    assumed = asked.schedule or "linear"
    notes.append(f"there is no scheduler: {assumed} noise over 1000 steps is assumed (--schedule)")
    notes.append("there is no scheduler: that the network predicts the noise is assumed")
    return {"diffusion": {"schedule": assumed}, "sampling": {}}


def _read_weights(
    path: Path, expected: TensorSpecs, *, rows: int | None, last_means_none: bool
) -> Tensors:
    """Read the weights under our names, once all of them are accounted for.

    Args:
        path: The file.
        expected: Our network's tensors.
        rows: Rows of the class embedding there, of which ours has one more ...
        last_means_none: ... unless the last of them means "no class".

    Raises:
        CheckpointError: They are not, or the file is damaged.
    """
    lacking = bool(rows) and not last_means_none
    if lacking:
        (_, width), kind = expected[CLASSES]
        expected = expected | {CLASSES: ([rows or 0, width], kind)}
    tensors = _read_tensors(
        path, {to_diffusers_name(name): kind for name, kind in expected.items()}
    )
    weights = {name: tensors[to_diffusers_name(name)] for name in expected}
    if lacking:
        table = weights[CLASSES]
        weights[CLASSES] = torch.cat([table, torch.zeros_like(table[:1])])
    return weights


def _read_tensors(path: Path, wanted: TensorSpecs) -> Tensors:
    """Read the tensors that are wanted, under the names of today.

    Raises:
        CheckpointError: There are others, or the file is damaged.
    """
    if path.suffix == ".bin":
        table = torch_file.tensors_in(torch_file.look_into(path), str(path))
        names = by_present_names(table, path)
        check_weights(wanted, torch_file.kinds(torch_file.pick(table, names)), str(path))
        return as_weights(torch_file.pick(torch_file.load(path), names), str(path))
    try:
        check_header_length(path, MOST_TENSORS)
        found = read_specs(path)
        names = by_present_names(found, path)
        check_weights(wanted, {today: found[name] for today, name in names.items()}, str(path))
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {truncate(error)}") from error
    return as_weights(torch_file.pick(tensors, names), str(path))


def by_present_names(found: Iterable[str], path: Path) -> dict[str, str]:
    """Return the file's names of its tensors by those of today.

    Raises:
        CheckpointError: Two of them mean the same.
    """
    names: dict[str, str] = {}
    for name in found:
        other = names.setdefault(present_name(name), name)
        if other != name:
            raise CheckpointError(f"{path}: {truncate(name)} and {truncate(other)} are the same")
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
