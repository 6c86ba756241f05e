"""Read checkpoints of IDDM (Integrated Design Diffusion Model), of all its versions.

Since December 2023 a .pt file holds a dictionary of model, ema_model and metadata; before that, it
holds the state dict alone. In both, parameter names may begin with `module.` (training on several
GPUs), and the class embedding may have its legacy name.
"""

from pathlib import Path
from typing import Any, get_args

from iddm_cli.checkpoints.tensors import Tensors, TensorSpecs, truncate
from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.importing import torch_file
from iddm_cli.importing.files import SUPPORTED
from iddm_cli.importing.imported_model import (
    DescribeNetwork,
    ImportedModel,
    build_data_section,
    build_profile,
    check_weights,
    to_weights,
)
from iddm_cli.importing.options import ImportOptions, parse_class_names
from iddm_cli.importing.pickle_parser import DeclaredTensor
from iddm_cli.profiles.model_settings import ActivationName
from iddm_cli.profiles.profile import ResolvedProfile

CLASS_EMBEDDING = "condition_adapter.label_emb.weight"
LEGACY_CLASS_EMBEDDING = "label_emb.weight"
FIRST_CONVOLUTION = "inc.double_conv.0.weight"
PARTS = {"model": "raw", "ema_model": "average"}
FOREIGN_KEYS = {
    "ema": "denoising-diffusion-pytorch",
    "shadow_params": "EMAModel of diffusers, without the names of its weights",
    "state_dict": "PyTorch Lightning",
    "model_ema": "k-diffusion",
}
"""Keys by which checkpoints of other programs are recognized; their networks are other ones."""

METADATA_KEYS = ("network", "mode", "act", "image_size", "num_classes", "classes_name")
"""Keys of the dictionary that iddm reads besides the weights."""

DEFAULT_ACTIVATION, DEFAULT_SCHEDULE, DEFAULT_GUIDANCE = "gelu", "linear", 3.0


def read_iddm_checkpoint(
    path: Path, options: ImportOptions, describe: DescribeNetwork
) -> ImportedModel:
    """Read a checkpoint of IDDM.

    Raises:
        CheckpointError: It is not such a file, is damaged, or has a tensor too few or too many.
        UsageError: An option is missing, or contradicts the file.
    """
    stored, tables = split_checkpoint(torch_file.inspect_torch_file(path), path)
    specs, names = {}, {}
    for part, table in tables.items():
        names[part] = map_parameter_names(table, f"{path}: {part}")
        specs[part] = torch_file.describe_tensors(torch_file.select(table, names[part]))
    count, channels = _infer_sizes(next(iter(specs.values())))
    profile, notes = _build_profile(stored, options, count, channels)
    for part, part_specs in specs.items():
        check_weights(describe(profile, count), part_specs, f"{path}: {part}")
    if stored.get("num_classes") not in (None, count) and count:
        raise CheckpointError(f"{path}: it was trained with another number of classes than {count}")
    own = stored.get("classes_name")
    classes = options.resolve_class_names(count, parse_class_names(own) if own else None)
    if count and options.class_names is None and not own:
        notes.append(
            f"the file has no class names: iddm named them 0 to {count - 1} (--class-names)"
        )
    weights = _load_weights(path, names, bare="model" not in stored and "ema_model" not in stored)
    if len(weights) < len(PARTS):
        notes.append(
            f"the file holds {next(iter(weights))} weights only; iddm uses them as raw and average"
        )
    any_weights = next(iter(weights.values()))
    raw, average = (weights.get(kind, any_weights) for kind in ("raw", "average"))
    return ImportedModel("IDDM", profile, classes, raw, average, tuple(notes))


def split_checkpoint(
    contents: Any, path: Path
) -> tuple[dict[str, Any], dict[str, dict[str, DeclaredTensor]]]:
    """Return the metadata of a checkpoint, and its state dicts: model, ema_model, or both.

    Raises:
        CheckpointError: It has no state dict, or belongs to an unsupported network.
    """
    if not isinstance(contents, dict):
        raise CheckpointError(f"{path} is not a checkpoint of IDDM: it does not hold a dictionary")
    for key, program in FOREIGN_KEYS.items():
        if key in contents and "ema_model" not in contents:
            raise CheckpointError(
                f"{path} is not a checkpoint of IDDM: its key {key!r} is that of {program}",
                SUPPORTED,
            )
    if not contents.keys() & PARTS.keys():
        part = "ema_model" if path.name.startswith("ema_") else "model"
        return {}, {part: torch_file.parse_state_dict(contents, str(path))}
    for key in METADATA_KEYS:
        check_flat(contents.get(key), f"{path}: {key}")
    for key, supported in (("network", "unet"), ("mode", "class")):
        if contents.get(key) not in (None, supported):
            raise CheckpointError(
                f"{path} was trained with {key} {truncate(contents[key])!r}",
                f"iddm imports models of IDDM with {key} {supported!r}.",
            )
    parts = {part: contents[part] for part in PARTS if contents.get(part) is not None}
    tables = {part: torch_file.parse_state_dict(t, f"{path}: {part}") for part, t in parts.items()}
    if not tables:
        raise CheckpointError(f"{path} holds no weights: model and ema_model are both empty")
    return contents, tables


def check_flat(value: Any, what: str) -> None:
    """Check that a value is a number, a string, or a list of them.

    Nested lists that contain each other several times would have no end when printed.

    Raises:
        CheckpointError: It is something else.
    """
    items = value if isinstance(value, list | tuple) else (value,)
    if not all(item is None or isinstance(item, str | int | float) for item in items):
        raise CheckpointError(f"{what} is not a number, a string, or a list of them")


def map_parameter_names(table: dict[str, DeclaredTensor], what: str) -> dict[str, str]:
    """Return the file's name of each tensor by our name.

    Raises:
        CheckpointError: Two names are the same tensor.
    """
    names: dict[str, str] = {}
    for theirs in table:
        name = theirs.removeprefix("module.")
        name = CLASS_EMBEDDING if name == LEGACY_CLASS_EMBEDDING else name
        if name in names:
            raise CheckpointError(
                f"{what}: {truncate(theirs)} and {truncate(names[name])} are the same"
            )
        names[name] = theirs
    return names


def _infer_sizes(specs: TensorSpecs) -> tuple[int, int]:
    """Return the numbers of classes and channels of a network.

    Raises:
        CheckpointError: It is not a model of grayscale or color images.
    """
    classes, _ = specs.get(CLASS_EMBEDDING, ([0], ""))
    weight, _ = specs.get(FIRST_CONVOLUTION, ([64, 3], ""))
    channels = weight[1] if len(weight) > 1 else 3
    if channels not in (1, 3):
        raise CheckpointError(
            f"its images have {channels} channels, like those of a latent model; "
            "iddm imports models of grayscale and color images"
        )
    return classes[0] if classes else 0, channels


def _build_profile(
    stored: dict[str, Any], options: ImportOptions, classes: int, channels: int
) -> tuple[ResolvedProfile, list[str]]:
    """Return the profile, and notes on what had to be assumed.

    Raises:
        UsageError: The image size is unknown.
        CheckpointError: The metadata is invalid.
    """
    notes = []
    size = options.image_size or stored.get("image_size")
    if size is None:
        raise UsageError(
            "the file holds weights only, without the image size",
            "Give the size that the model was trained with: --image-size 64, or --image-size HxW.",
        )
    activation = _find_activation(stored, options)
    if activation is None:
        activation = DEFAULT_ACTIVATION
        notes.append("the file does not contain the activation: iddm assumed gelu (--activation)")
    if options.schedule is None:
        notes.append("IDDM never stores the noise schedule: iddm assumed a linear one (--schedule)")
    if stored.get("optimizer") is not None:
        notes.append("iddm left out the optimizer state: training starts with a fresh optimizer")
    tables: dict[str, dict[str, Any]] = {
        "data": build_data_section(size, channels, classes=classes),
        "model": {"network": "iddm-unet", "activation": activation},
        "diffusion": {"schedule": options.schedule or DEFAULT_SCHEDULE},
        "sampling": {"guidance": DEFAULT_GUIDANCE},
    }
    return build_profile(tables, options), notes


def _find_activation(stored: dict[str, Any], options: ImportOptions) -> str | None:
    act = stored.get("act")
    if act is None:
        return options.activation
    if act not in get_args(ActivationName):
        raise CheckpointError(
            f"it was trained with the activation {truncate(act)!r}, which is unknown"
        )
    if options.activation not in (None, act):
        raise UsageError(
            f"--activation {options.activation}: it was trained with {act}", "Leave the option out."
        )
    return str(act)


def _load_weights(
    path: Path, names: dict[str, dict[str, str]], *, bare: bool
) -> dict[str, Tensors]:
    """Return the weights: raw, average or both."""
    loaded = torch_file.load_torch_file(path)
    tables = {part: loaded if bare else loaded[part] for part in names}
    return {
        PARTS[part]: to_weights(torch_file.select(table, names[part]), f"{path}: {part}")
        for part, table in tables.items()
    }
