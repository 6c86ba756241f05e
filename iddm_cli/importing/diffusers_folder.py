"""Find the parts of a folder of diffusers: configurations, and one or two sets of weights.

The training scripts of diffusers write checkpoint-N/unet, the raw weights, beside
checkpoint-N/unet_ema, their EMA, and the scheduler one folder above. Published models hold the EMA
under the usual name, and sometimes the raw weights as the variant non_ema.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iddm_cli.checkpoints.files import check_regular_file
from iddm_cli.checkpoints.tensors import truncate
from iddm_cli.errors import CheckpointError
from iddm_cli.importing import unet2d
from iddm_cli.importing.files import read_json

STEM = "diffusion_pytorch_model"
SUFFIXES = ("safetensors", "bin")
FULL_AND_HALF = ("", "fp16", "bf16")
"""Variants of a set of weights; the first one found is read."""

EMA_FOLDERS = ("unet_ema", "ema_unet", "ema")
SUPPORTED_KEYS = ("unet", "scheduler", "class_names", "guidance_scale", "guidance_interval",
                  "num_inference_steps", *EMA_FOLDERS)  # fmt: skip
"""Keys of model_index.json that iddm understands; another key with a component is an error."""

ONE_SET = "the folder holds one set of weights; iddm uses them as raw and average"
UNREAD = {
    "optimizer.bin": "iddm left out the optimizer state: training starts with a fresh optimizer",
    "custom_checkpoint_0.pkl": "iddm does not read custom_checkpoint_0.pkl, where older training "
    "scripts keep the EMA weights",
    "ema_model.pt": "iddm does not read ema_model.pt; EMA weights are read from unet_ema",
}
"""Files that are not imported, and what is said about them."""


@dataclass(frozen=True)
class WeightFiles:
    """One set of weights.

    Attributes:
        paths: Its file, or its shards.
        name: Where it was found, as messages say it.
    """

    paths: tuple[Path, ...]
    name: str


@dataclass(frozen=True)
class DiffusersFolder:
    """The content of a folder of diffusers.

    Attributes:
        raw: The weights that the optimizer updated.
        average: Their EMA; the same set where there is only one.
        index: model_index.json; empty if there is none.
        network: The network's config.json, with defaults.
        scheduler: scheduler_config.json, if there is one.
        ema_decay: The decay of the EMA, if the folder says it.
        notes: What was taken from where, and what was left out.
    """

    raw: WeightFiles
    average: WeightFiles
    index: dict[str, Any]
    network: dict[str, Any]
    scheduler: dict[str, Any] | None
    ema_decay: float | None
    notes: tuple[str, ...]


def open_folder(path: Path) -> DiffusersFolder:
    """Locate the parts of a folder: in subfolders, all in one folder, or the network alone.

    Raises:
        CheckpointError: A part is missing, or there are unsupported ones.
    """
    index = read_json(path / "model_index.json") if (path / "model_index.json").exists() else {}
    _check_components(path, index)
    ema = _find_ema_folder(path)
    unet = next((f for f in (path / "unet", path) if (f / "config.json").exists()), ema)
    if unet is None:
        raise _not_a_folder(path)
    config = read_json(unet / "config.json")
    network = unet2d.complete_config(config)
    if ema is not None and ema != unet:
        config = read_json(ema / "config.json")
        _check_same_network(network, unet2d.complete_config(config), ema)
    raw, average = find_weights(unet, None if ema == unet else ema)
    decay = config.get("decay")
    has_ema = "decay" in config
    scheduler, notes = _find_scheduler(path, unet)
    return DiffusersFolder(
        raw=raw,
        average=average,
        index=index,
        network=network,
        scheduler=scheduler,
        ema_decay=decay if isinstance(decay, float) and 0 <= decay < 1 else None,
        notes=(
            _describe_weights(raw, average, config if has_ema else None),
            *notes,
            *_mention_others(path, unet, is_pair=raw != average),
        ),
    )


def _check_components(path: Path, index: dict[str, Any]) -> None:
    for key, value in index.items():
        is_component = isinstance(value, list) and value != [None, None]
        if is_component and not key.startswith("_") and key not in SUPPORTED_KEYS:
            raise CheckpointError(
                f"{path} has a {truncate(key)} besides its network, which cannot be imported",
                "iddm imports pixel-space models: a unet and a scheduler, and no other component.",
            )


def _find_ema_folder(path: Path) -> Path | None:
    folders = (path / name for name in EMA_FOLDERS)
    return next((folder for folder in folders if (folder / "config.json").exists()), None)


def _not_a_folder(path: Path) -> CheckpointError:
    problem = (
        f"{path} is not a folder of diffusers: it has neither config.json nor unet/config.json"
    )
    if (latest := _latest_checkpoint(path)) is not None:
        return CheckpointError(problem, f"Import its last checkpoint: iddm import {latest}")
    if any((path / name).exists() for name in ("model.safetensors", "pytorch_model.bin")):
        return CheckpointError(
            f"{problem}; its weights are a checkpoint of accelerate, which does not describe the "
            "network",
            "Load them into the UNet2DModel that they belong to, and call its save_pretrained.",
        )
    return CheckpointError(problem)


def _latest_checkpoint(path: Path) -> Path | None:
    """Return the last checkpoint-N below a folder that a training script wrote."""
    found = {}
    for folder in path.glob("checkpoint-*"):
        number = folder.name.removeprefix("checkpoint-")
        if number.isdecimal() and (folder / "unet" / "config.json").exists():
            found[int(number)] = folder
    return found[max(found)] if found else None


def _check_same_network(network: dict[str, Any], ema: dict[str, Any], folder: Path) -> None:
    for key in unet2d.DEFAULTS:
        if network[key] != ema[key]:
            raise CheckpointError(
                f"{folder / 'config.json'} describes another network than that of the raw weights: "
                f"{key} is {truncate(ema[key])}, not {truncate(network[key])}",
                f"Import one of them alone: iddm import {folder}",
            )


def find_weights(unet: Path, ema: Path | None) -> tuple[WeightFiles, WeightFiles]:
    """Return the raw weights and their EMA; twice the same where there is one set.

    Args:
        unet: The folder of the network.
        ema: The folder of its EMA; None: there is none.

    Raises:
        CheckpointError: A folder has no weights.
    """
    plain = _find_variant(unet, FULL_AND_HALF)
    raw = _find_variant(unet, ("non_ema",))
    average = _find_variant(unet, ("ema",))
    if ema is not None:
        average = _find_variant(ema, FULL_AND_HALF)
        if average is None:
            raise _no_weights(ema)
        return raw or plain or average, average
    if average is None and raw is not None:
        average = plain  # the usual name is that of the EMA
    only = plain or raw or average
    if only is None:
        raise _no_weights(unet)
    return (raw or only, average or only) if average else (only, only)


def _no_weights(folder: Path) -> CheckpointError:
    return CheckpointError(
        f"{folder} has neither {' nor '.join(f'{STEM}.{suffix}' for suffix in SUFFIXES)}",
        "Save the network there with its method save_pretrained.",
    )


def _find_variant(folder: Path, variants: tuple[str, ...]) -> WeightFiles | None:
    """Return the first set of weights of these variants, in one file or in shards."""
    for variant in variants:
        for suffix in SUFFIXES:
            name = ".".join(filter(None, (STEM, variant, suffix)))
            if (folder / name).exists():
                check_regular_file(folder / name)
                return WeightFiles((folder / name,), f"{folder.name}/{name}")
            index = folder / ".".join(filter(None, (STEM, suffix, "index", variant, "json")))
            if index.exists():
                shards = _list_shards(index)
                return WeightFiles(shards, f"{folder.name}/{index.name}, {len(shards)} files")
    return None


def _list_shards(index: Path) -> tuple[Path, ...]:
    """Return the files that an index of sharded weights names.

    Raises:
        CheckpointError: It names none, a file elsewhere, or one that is missing.
    """
    table = read_json(index).get("weight_map")
    names = sorted({str(name) for name in table.values()}) if isinstance(table, dict) else []
    for name in names:
        if Path(name).name != name:
            raise CheckpointError(f"{index} names a file outside its folder: {truncate(name)}")
        if not (index.parent / name).exists():
            raise CheckpointError(f"{index} names {truncate(name)}, which is missing")
        check_regular_file(index.parent / name)
    if not names:
        raise CheckpointError(f"{index} is damaged: it names no files")
    return tuple(index.parent / name for name in names)


def _find_scheduler(path: Path, unet: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the scheduler's configuration, and a note where it was found above the folder."""
    name = "scheduler_config.json"
    parents = [path.resolve().parent]
    if path.name == "unet" or path.name in EMA_FOLDERS:
        parents.append(parents[0].parent)
    inside = [path / "scheduler" / name, unet / name, path / name]
    above = [parent / "scheduler" / name for parent in parents if not (path / "scheduler").exists()]
    found = next((file for file in (*inside, *above) if file.exists()), None)
    notes = ["the scheduler is that of the folder above"] if found and found in above else []
    return (read_json(found) if found else None), notes


def _describe_weights(
    raw: WeightFiles, average: WeightFiles, ema_config: dict[str, Any] | None
) -> str:
    """Return which weights were taken as raw, and which as the EMA."""
    config = ema_config or {}
    details = []
    if isinstance(config.get("decay"), float):
        details.append(f"decay {config['decay']:g}")
    updates = config.get("optimization_step")
    if type(updates) is int:
        details.append(f"{updates:,} updates")
    more = f" ({', '.join(details)})" if details else ""
    if raw == average:
        only = f"; they are EMA weights{more}" if ema_config else ""
        return f"{ONE_SET}{only}"
    return f"the raw weights are {raw.name}, and the EMA weights {average.name}{more}"


def _mention_others(path: Path, unet: Path, *, is_pair: bool) -> list[str]:
    """Return what lies beside the imported weights and was not imported."""
    notes = [text for name, text in UNREAD.items() if (path / name).exists()]
    if is_pair:
        return [note for note in notes if "EMA" not in note]
    parent = path.resolve().parent
    others = [parent / name for name in ("unet", *EMA_FOLDERS) if name != path.resolve().name]
    pair = [folder.name for folder in others if (folder / "config.json").exists()]
    if unet == path and path.resolve().name in ("unet", *EMA_FOLDERS) and pair:
        notes.append(
            f"{' and '.join(pair)} beside it was not read; to take raw and EMA weights, import the "
            "folder that holds both"
        )
    latest = _latest_checkpoint(path)
    if latest is not None and _find_ema_folder(latest) is not None:
        notes.append(f"{latest.name} in it holds raw and EMA weights; import that to take both")
    return notes
