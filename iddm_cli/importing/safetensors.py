"""Read our own exports to safetensors, whose metadata contains the profile."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from iddm_cli.checkpoints.tensors import truncate
from iddm_cli.errors import CheckpointError
from iddm_cli.export.exported_weights import ExportedWeights
from iddm_cli.importing.imported_model import (
    UNKNOWN_DATA_PATH,
    DescribeNetwork,
    ImportedModel,
    build_profile,
    check_weights,
    to_weights,
)
from iddm_cli.importing.options import ImportOptions, parse_class_names
from iddm_cli.records.weights_names import is_named_average, part_of_weights
from iddm_cli.runs.exported_file import open_exported_file


def read_exported_file(
    path: Path, options: ImportOptions, describe: DescribeNetwork
) -> ImportedModel:
    """Read a file of `iddm export safetensors`.

    Raises:
        CheckpointError: It is not such a file, is damaged, or has a tensor too few or too many.
        UsageError: An option is given; the file says everything itself.
    """
    reason = "the file contains it"
    options.reject("class_names", "image_size", "activation", "schedule", reason=reason)
    exported = open_exported_file(path)
    record = exported.record
    classes = parse_class_names(record.classes) if record.classes else ()
    profile = build_profile(_portable_tables(record.profile, path), options)
    weights_file = ExportedWeights(exported)
    try:
        check_weights(describe(profile, len(classes)), weights_file.read_specs(), str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {truncate(error)}") from error
    read = weights_file.read(part_of_weights(record.weights))
    weights = to_weights(read, str(path))
    note = f"the file holds {record.weights} weights only; iddm uses them as raw and average"
    values = exported.read_values() if record.dataset.get("values") else None
    scale = None if profile.data.encoder is None else exported.read_latent_scale()
    return ImportedModel("safetensors", profile, classes, weights, weights, (note,), values, scale)


def _portable_tables(tables: dict[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """Return the profile's sections without those that belong to another machine."""
    if not isinstance(tables.get("data"), dict):
        raise CheckpointError(f"{path} is damaged: it contains no profile")
    changed = {"data": {**tables["data"], "path": UNKNOWN_DATA_PATH}}
    sampling = tables.get("sampling")
    if isinstance(sampling, dict) and is_named_average(str(sampling.get("weights"))):
        changed["sampling"] = {**sampling, "weights": "average"}  # the new run has no other
    return {key: value for key, value in tables.items() if key != "runtime"} | changed
