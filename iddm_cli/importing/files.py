"""Files that come from elsewhere: of which kind they are, and their JSON."""

import json
import stat
from pathlib import Path
from typing import Any, Literal

from iddm_cli.errors import CheckpointError

MOST_JSON_BYTES = 2**22
"""More than a configuration with ten thousand numbers or names."""

SourceFormat = Literal["folder", "pytorch", "safetensors"]

SUPPORTED = (
    "What can be imported: a .pt file of IDDM, a folder of diffusers, or what "
    "`iddm export safetensors` has made."
)


def detect_format(source: Path) -> SourceFormat:
    """Say what a path holds, by its content rather than by its name.

    Raises:
        CheckpointError: It is missing, or nothing that can be imported.
    """
    try:
        mode = source.stat().st_mode
        if stat.S_ISDIR(mode):
            return "folder"
        if not stat.S_ISREG(mode):
            raise CheckpointError(f"{source} is no file", SUPPORTED)
        with source.open("rb") as file:
            start = file.read(9)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{source} cannot be read: {reason}", SUPPORTED) from error
    if start.startswith(b"PK"):
        return "pytorch"
    if start[8:] == b"{":
        return "safetensors"
    raise CheckpointError(
        f"{source} is neither a file of PyTorch 1.6 or later nor of safetensors",
        "Where an older PyTorch has written it, load it there, and save it with a newer one.",
    )


def refuse_what_is_no_file(path: Path) -> None:
    """Refuse a pipe, which nobody may ever write to, a device, or nothing.

    Raises:
        CheckpointError: It is no file.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing, or is no file")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: It is missing, too large, or no JSON object.
    """
    refuse_what_is_no_file(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_JSON_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    return parse_json(content, str(path))


def parse_json(content: bytes | str, what: str) -> dict[str, Any]:
    """Read a JSON object that is called `what`.

    Raises:
        CheckpointError: It is too large, or no JSON object.
    """
    if len(content) > MOST_JSON_BYTES:
        raise CheckpointError(f"{what} has more than {MOST_JSON_BYTES:,} bytes")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{what} is no JSON") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{what} holds no JSON object")
    return document
