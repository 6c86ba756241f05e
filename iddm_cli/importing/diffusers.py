"""Read folders of diffusers with a UNet2DModel: a whole pipeline, or the network alone."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from iddm_cli.checkpoints.tensors import (
    Tensors,
    TensorSpecs,
    check_header_length,
    load_tensors,
    read_specs,
    truncate,
)
from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.export.diffusers import to_diffusers_name
from iddm_cli.importing import torch_file, unet2d
from iddm_cli.importing.diffusers_folder import DiffusersFolder, open_folder
from iddm_cli.importing.diffusers_scheduler import parse_scheduler
from iddm_cli.importing.imported_model import (
    DescribeNetwork,
    ImportedModel,
    build_data_section,
    build_profile,
    check_weights,
    to_weights,
)
from iddm_cli.importing.options import ImportOptions, parse_class_names
from iddm_cli.profiles.profile import ResolvedProfile

MAX_TENSORS = 8192

LEGACY_NAMES = (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0"))
"""Names of the attention layers before diffusers 0.18, and since."""

CLASS_EMBEDDING, TIME_PROJECTION = "embedding.classes.weight", "embedding.perceptron.0.weight"
"""Our names of the tensors that need a conversion."""


def read_diffusers_folder(
    path: Path, options: ImportOptions, describe: DescribeNetwork
) -> ImportedModel:
    """Read a folder of diffusers.

    Raises:
        CheckpointError: It is not such a folder, is damaged, cannot be expressed as a profile, or
            has a tensor too few or too many.
        UsageError: An option is missing, or has no effect.
    """
    options.reject("activation", reason="the folder contains it")
    folder = open_folder(path)
    notes: list[str] = []
    rows = folder.network["num_class_embeds"]
    if rows is not None and (type(rows) is not int or not 1 <= rows <= 2**20):
        raise CheckpointError(f"num_class_embeds: {truncate(rows)} is not a number of classes")
    classes, no_class_row = _resolve_classes(folder, options, rows or 0)
    profile = _build_profile(folder, options, len(classes), no_class_row, notes)
    expected = describe(profile, len(classes))
    sets = {}
    for files in (folder.raw, folder.average):
        if files not in sets:
            weights = _read_weights(files.paths, expected, rows=rows, no_class_row=no_class_row)
            if not folder.network["flip_sin_to_cos"]:
                weights[TIME_PROJECTION] = swap_sine_cosine(weights[TIME_PROJECTION])
            sets[files] = weights
    raw, average = sets[folder.raw], sets[folder.average]
    notes += folder.notes
    return ImportedModel("diffusers", profile, classes, raw, average, tuple(notes))


def _resolve_classes(
    folder: DiffusersFolder, options: ImportOptions, rows: int
) -> tuple[tuple[str, ...], bool]:
    """Return the class names, and whether the last row of the embedding means "no class".

    It does if there is one name fewer than rows, as in the exports of iddm.
    """
    stored = folder.index.get("class_names")
    given = options.class_names
    names = parse_class_names(stored) if stored and given is None else given
    if rows and names is not None and len(names) == rows - 1:
        return names, True
    if stored and names is not None and len(names) != rows:
        names = None
    return options.resolve_class_names(rows, names), False


def _build_profile(
    folder: DiffusersFolder,
    options: ImportOptions,
    classes: int,
    no_class_row: bool,
    notes: list[str],
) -> ResolvedProfile:
    """Return the profile, and append what had to be assumed to the notes."""
    size = options.image_size or folder.network["sample_size"]
    if size is None:
        raise UsageError(
            "config.json has no sample_size", "Give the size of its images: --image-size 64."
        )
    tables = _diffusion_sections(folder, options, notes)
    tables["data"] = build_data_section(size, folder.network["in_channels"], classes=classes)
    tables["model"] = unet2d.build_model_section(folder.network)
    if folder.ema_decay is not None:
        tables["training"] = {"ema_decay": folder.ema_decay}
    if classes and not no_class_row:
        tables["sampling"]["guidance"] = 1.0
        notes.append(
            "the network was trained with labels only, so sampling.guidance is 1 (no guidance)"
        )
    elif isinstance(folder.index.get("guidance_scale"), int | float):
        tables["sampling"]["guidance"] = float(folder.index["guidance_scale"])
    match folder.index.get("guidance_interval"):
        case [int() | float() as low, int() | float() as high] if 0 <= low <= high <= 1:
            tables["sampling"]["guidance_interval"] = [float(low), float(high)]
    steps = folder.index.get("num_inference_steps")
    if type(steps) is int and steps > 0:
        tables["sampling"]["steps"] = min(steps, tables["diffusion"]["timesteps"])
    return build_profile(tables, options)


def _diffusion_sections(
    folder: DiffusersFolder, options: ImportOptions, notes: list[str]
) -> dict[str, dict[str, Any]]:
    if folder.scheduler is not None:
        options.reject("schedule", reason="the folder's scheduler contains it")
        return parse_scheduler(folder.scheduler)
    assumed = options.schedule or "linear"
    notes.append(
        f"the folder has no scheduler: iddm assumed a {assumed} noise schedule with 1000 steps "
        "(--schedule)"
    )
    notes.append("the folder has no scheduler: iddm assumed that the network predicts the noise")
    return {"diffusion": {"schedule": assumed}, "sampling": {}}


def _read_weights(
    paths: Sequence[Path], expected: TensorSpecs, *, rows: int | None, no_class_row: bool
) -> Tensors:
    """Read the weights under our names, after checking every name and shape.

    Args:
        paths: The file, or the shards.
        expected: Our network's tensors.
        rows: Rows of the class embedding in the file.
        no_class_row: Whether the last row means "no class"; if not, a row of zeros is appended.

    Raises:
        CheckpointError: A tensor is missing or unexpected, or the file is damaged.
    """
    append_row = bool(rows) and not no_class_row
    if append_row:
        (_, width), kind = expected[CLASS_EMBEDDING]
        expected = expected | {CLASS_EMBEDDING: ([rows or 0, width], kind)}
    tensors = _read_tensors(
        paths, {to_diffusers_name(name): kind for name, kind in expected.items()}
    )
    weights = {name: tensors[to_diffusers_name(name)] for name in expected}
    if append_row:
        table = weights[CLASS_EMBEDDING]
        weights[CLASS_EMBEDDING] = torch.cat([table, torch.zeros_like(table[:1])])
    return weights


def _read_tensors(paths: Sequence[Path], wanted: TensorSpecs) -> Tensors:
    """Read the wanted tensors, by their current names.

    Raises:
        CheckpointError: Some are missing or unexpected, or a file is damaged.
    """
    specs: TensorSpecs = {}
    names_of: dict[Path, dict[str, str]] = {}
    for path in paths:
        stored = _read_stored_specs(path)
        names = map_current_names(stored, path)
        for current, name in names.items():
            if current in specs:
                other = next(file for file, known in names_of.items() if current in known)
                raise CheckpointError(f"{path} and {other} both hold {truncate(name)}")
            specs[current] = stored[name]
        names_of[path] = names
    check_weights(wanted, specs, str(paths[0]))
    tensors: Tensors = {}
    for path, names in names_of.items():
        tensors |= to_weights(torch_file.select(_load_file(path), names), str(path))
    return tensors


def _read_stored_specs(path: Path) -> TensorSpecs:
    """Return the specs of a file's tensors under the file's names, before any data is read."""
    if path.suffix == ".bin":
        table = torch_file.parse_state_dict(torch_file.inspect_torch_file(path), str(path))
        return torch_file.describe_tensors(table)
    try:
        check_header_length(path, MAX_TENSORS)
        return read_specs(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {truncate(error)}") from error


def _load_file(path: Path) -> Tensors:
    if path.suffix == ".bin":
        loaded: Tensors = torch_file.load_torch_file(path)
        return loaded
    try:
        return load_tensors(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {truncate(error)}") from error


def map_current_names(stored: Iterable[str], path: Path) -> dict[str, str]:
    """Return the file's name of each tensor by its current name.

    Raises:
        CheckpointError: Two of them are the same tensor.
    """
    names: dict[str, str] = {}
    for name in stored:
        other = names.setdefault(to_current_name(name), name)
        if other != name:
            raise CheckpointError(f"{path}: {truncate(name)} and {truncate(other)} are the same")
    return names


def to_current_name(name: str) -> str:
    """Return the name of a tensor in current versions of diffusers."""
    for legacy, current in LEGACY_NAMES:
        name = name.replace(f".{legacy}.", f".{current}.") if "attentions." in name else name
    return name


def swap_sine_cosine(weight: Tensor) -> Tensor:
    """Convert the first layer to a time embedding whose cosines, not sines, come first."""
    sines, cosines = weight.chunk(2, dim=1)
    return torch.cat([cosines, sines], dim=1).contiguous()
