"""Checkpoints of IDDM (Integrated Design Diffusion Model): .pt files of all its generations.

Since December 2023 a dictionary with model, ema_model and what they were trained with; before
that the state dict alone. In either, names may begin with `module.`, as training on several GPUs
left them, and the class embedding may have its older name.
"""

from pathlib import Path
from typing import Any, get_args

from iddm_cli.checkpoints.tensors import Tensors, TensorSpecs, truncate
from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.importing import torch_file
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
from iddm_cli.importing.pickle_parser import Declared
from iddm_cli.profiles.model_settings import ActivationName
from iddm_cli.profiles.profile import ResolvedProfile

CLASSES = "condition_adapter.label_emb.weight"
FORMER_CLASSES = "label_emb.weight"
FIRST = "inc.double_conv.0.weight"
PARTS = {"model": "raw", "ema_model": "average"}
SAID = ("network", "mode", "act", "image_size", "num_classes", "classes_name")
"""What is read of the dictionary besides weights."""

USUAL_ACTIVATION, USUAL_SCHEDULE, USUAL_GUIDANCE = "gelu", "linear", 3.0


def read(path: Path, asked: ImportOptions, expect: Expect) -> ImportedModel:
    """Read a checkpoint of IDDM.

    Raises:
        CheckpointError: It is none, it is damaged, or a tensor of it is not accounted for.
        UsageError: What it does not say is to be given as an option.
    """
    stored, tables = generation(torch_file.look_into(path), path)
    kinds, names = {}, {}
    for part, table in tables.items():
        names[part] = our_names(table, f"{path}: {part}")
        kinds[part] = torch_file.kinds(torch_file.pick(table, names[part]))
    count, channels = _sizes(next(iter(kinds.values())))
    profile, notes = _profile(stored, asked, count, channels)
    for part, found in kinds.items():
        check_weights(expect(profile, count), found, f"{path}: {part}")
    if stored.get("num_classes") not in (None, count) and count:
        raise CheckpointError(f"{path}: it was trained with another number of classes than {count}")
    own = stored.get("classes_name")
    classes = asked.names(count, check_names(own) if own else None)
    if count and asked.class_names is None and not own:
        notes.append(f"it names no classes: they are called 0 to {count - 1} (--class-names)")
    weights = _load(path, names, bare="model" not in stored and "ema_model" not in stored)
    if len(weights) < len(PARTS):
        notes.append(f"it holds {next(iter(weights))} weights alone, which stand for both")
    any_weights = next(iter(weights.values()))
    raw, average = (weights.get(kind, any_weights) for kind in ("raw", "average"))
    return ImportedModel("IDDM", profile, classes, raw, average, tuple(notes))


def generation(contents: Any, path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Declared]]]:
    """Tell the generations apart.

    Returns:
        What is stored beside the weights, and the state dicts: model, ema_model, or both.

    Raises:
        CheckpointError: There are none, or they are of another network.
    """
    if not isinstance(contents, dict):
        raise CheckpointError(f"{path} is no checkpoint of IDDM: it holds no dictionary")
    if not contents.keys() & PARTS.keys():
        part = "ema_model" if path.name.startswith("ema_") else "model"
        return {}, {part: torch_file.tensors_in(contents, str(path))}
    for key in SAID:
        refuse_nested(contents.get(key), f"{path}: {key}")
    for key, wanted in (("network", "unet"), ("mode", "class")):
        if contents.get(key) not in (None, wanted):
            raise CheckpointError(
                f"{path} was trained with {key} {truncate(contents[key])!r}",
                f"Of IDDM's models, those with {key} {wanted!r} can be imported.",
            )
    there = {part: contents[part] for part in PARTS if contents.get(part) is not None}
    tables = {part: torch_file.tensors_in(t, f"{path}: {part}") for part, t in there.items()}
    if not tables:
        raise CheckpointError(f"{path} holds no weights: model and ema_model are both empty")
    return contents, tables


def refuse_nested(value: Any, what: str) -> None:
    """Refuse lists of lists: one that holds another twice, and so on, has no end when it is told.

    Raises:
        CheckpointError: It is neither a number nor a text, nor a list of such.
    """
    told = value if isinstance(value, list | tuple) else (value,)
    if not all(one is None or isinstance(one, str | int | float) for one in told):
        raise CheckpointError(f"{what} is neither a number nor a text, nor a list of them")


def our_names(table: dict[str, Declared], what: str) -> dict[str, str]:
    """Return the file's name of each tensor by ours.

    Raises:
        CheckpointError: Two names mean the same.
    """
    names: dict[str, str] = {}
    for theirs in table:
        name = theirs.removeprefix("module.")
        name = CLASSES if name == FORMER_CLASSES else name
        if name in names:
            raise CheckpointError(
                f"{what}: {truncate(theirs)} and {truncate(names[name])} are the same"
            )
        names[name] = theirs
    return names


def _sizes(kinds: TensorSpecs) -> tuple[int, int]:
    """Return how many classes and channels the tensors are for.

    Raises:
        CheckpointError: They are no pictures.
    """
    classes, _ = kinds.get(CLASSES, ([0], ""))
    weight, _ = kinds.get(FIRST, ([64, 3], ""))
    channels = weight[1] if len(weight) > 1 else 3
    if channels not in (1, 3):
        raise CheckpointError(
            f"its pictures have {channels} channels, as those of a latent model do; "
            "models of grey and colour pictures can be imported"
        )
    return classes[0] if classes else 0, channels


def _profile(
    stored: dict[str, Any], asked: ImportOptions, classes: int, channels: int
) -> tuple[ResolvedProfile, list[str]]:
    """Return the profile, and what had to be assumed for it.

    Raises:
        UsageError: The image size is not known.
        CheckpointError: What is stored cannot be.
    """
    notes = []
    size = asked.image_size or stored.get("image_size")
    if size is None:
        raise UsageError(
            "the file holds weights alone, which do not tell the size of the pictures",
            "Give the size it was trained with: --image-size 64, or --image-size HxW.",
        )
    activation = _activation(stored, asked)
    if activation is None:
        activation = USUAL_ACTIVATION
        notes.append("it does not say its activation: gelu is assumed (--activation)")
    if asked.schedule is None:
        notes.append("IDDM never stores the noise schedule: linear is assumed (--schedule)")
    if stored.get("optimizer") is not None:
        notes.append("the state of its optimizer is left out: training begins with a fresh one")
    tables: dict[str, dict[str, Any]] = {
        "data": picture_tables(size, channels, classes=classes),
        "model": {"network": "iddm-unet", "activation": activation},
        "diffusion": {"schedule": asked.schedule or USUAL_SCHEDULE},
        "sampling": {"guidance": USUAL_GUIDANCE},
    }
    return make_profile(tables, asked), notes


def _activation(stored: dict[str, Any], asked: ImportOptions) -> str | None:
    act = stored.get("act")
    if act is None:
        return asked.activation
    if act not in get_args(ActivationName):
        raise CheckpointError(
            f"it was trained with the activation {truncate(act)!r}, which is unknown"
        )
    if asked.activation not in (None, act):
        raise UsageError(
            f"--activation {asked.activation}: it was trained with {act}", "Leave the option out."
        )
    return str(act)


def _load(path: Path, names: dict[str, dict[str, str]], *, bare: bool) -> dict[str, Tensors]:
    """Return the weights of each part: raw, average or both."""
    loaded = torch_file.load(path)
    tables = {part: loaded if bare else loaded[part] for part in names}
    return {
        PARTS[part]: as_weights(torch_file.pick(table, names[part]), f"{path}: {part}")
        for part, table in tables.items()
    }
