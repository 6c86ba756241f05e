"""Our own exports as one safetensors file, which carries its profile in the header."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from iddm_cli.checkpoints.tensors import read_specs, truncate
from iddm_cli.errors import CheckpointError
from iddm_cli.export.exported_weights import KINDS, ExportedWeights
from iddm_cli.importing.imported_model import (
    UNKNOWN_DATA_PATH,
    Expect,
    ImportedModel,
    ImportOptions,
    as_weights,
    check_names,
    check_weights,
    make_profile,
)
from iddm_cli.runs.exported_file import open_exported_file


def read(path: Path, asked: ImportOptions, expect: Expect) -> ImportedModel:
    """Read an export.

    Raises:
        CheckpointError: It is none, it is damaged, or a tensor of it is not accounted for.
        UsageError: An option was given that it answers itself.
    """
    why = "the file says it itself"
    asked.refuse("class_names", "image_size", "activation", "schedule", why=why)
    exported = open_exported_file(path)
    record = exported.record
    classes = check_names(record.classes) if record.classes else ()
    profile = make_profile(_tables(record.profile, path), asked)
    try:
        check_weights(expect(profile, len(classes)), read_specs(path), str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {truncate(error)}") from error
    (part,) = (part for part, kind in KINDS.items() if kind == record.weights)
    weights = as_weights(ExportedWeights(exported).read(part), str(path))
    note = f"it holds {record.weights} weights alone, which stand for both"
    return ImportedModel("safetensors", profile, classes, weights, weights, (note,))


def _tables(tables: dict[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """Return the profile's tables, without what was true on another machine alone."""
    if not isinstance(tables.get("data"), dict):
        raise CheckpointError(f"{path} is damaged: it carries no profile")
    data = {**tables["data"], "path": UNKNOWN_DATA_PATH}
    return {key: value for key, value in tables.items() if key != "runtime"} | {"data": data}
