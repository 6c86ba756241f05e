"""Our own exports as one safetensors file, which carries its profile in the header."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from iddm_cli.engine.fit import first, kinds_in, refuse_long_header
from iddm_cli.errors import CheckpointError
from iddm_cli.importing.files import parse_json
from iddm_cli.importing.foreign import (
    UNKNOWN_PICTURES,
    Asked,
    Expect,
    Foreign,
    as_weights,
    check_names,
    check_weights,
    make_profile,
)

FORMAT = 1
MOST_TENSORS = 4096


def read(path: Path, asked: Asked, expect: Expect) -> Foreign:
    """Read an export.

    Raises:
        CheckpointError: It is none, it is damaged, or a tensor of it is not accounted for.
        UsageError: An option was given that it answers itself.
    """
    why = "the file says it itself"
    asked.refuse("class_names", "image_size", "activation", "schedule", why=why)
    try:
        refuse_long_header(path, MOST_TENSORS)
        with safe_open(path, framework="pt") as handle:
            header = handle.metadata() or {}
        found = kinds_in(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {first(error)}") from error
    document = _document(header, path)
    classes = check_names(document["classes"]) if document.get("classes") else ()
    profile = make_profile(_tables(document, path), asked)
    if profile.data.channels == "auto":
        raise CheckpointError(f"{path}: its profile does not say whether pictures are grey")
    check_weights(expect(profile, len(classes)), found, str(path))
    weights = as_weights(load_file(path), str(path))
    kind = first(document.get("weights"))
    note = f"it holds {kind} weights alone, which stand for both"
    return Foreign("safetensors", profile, classes, weights, weights, (note,))


def _document(header: dict[str, str], path: Path) -> dict[str, Any]:
    """Return what the header says of the model.

    Raises:
        CheckpointError: It says nothing, or in a newer format.
    """
    if "iddm" not in header:
        raise CheckpointError(
            f"{path} does not say of which network it is",
            "A safetensors file can be imported where `iddm export safetensors` has made it; of a "
            "folder of diffusers, give the folder.",
        )
    document = parse_json(header["iddm"], f"{path}: its header")
    if document.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {first(document.get('format'))}; this version of iddm reads "
            f"{FORMAT}",
            "Use the version of iddm that wrote it, or a newer one.",
        )
    return document


def _tables(document: dict[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """Return the profile's tables, without what was true on another machine alone."""
    tables = document.get("profile")
    if not isinstance(tables, dict) or not isinstance(tables.get("data"), dict):
        raise CheckpointError(f"{path} is damaged: it carries no profile")
    data = {**tables["data"], "path": UNKNOWN_PICTURES}
    return {key: value for key, value in tables.items() if key != "runtime"} | {"data": data}
