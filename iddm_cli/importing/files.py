"""Files from elsewhere: which kind they are, and how their JSON is read."""

import json
import stat
from pathlib import Path
from typing import Any, Literal

from iddm_cli.checkpoints.files import check_regular_file
from iddm_cli.errors import CheckpointError

MAX_JSON_BYTES = 2**22
"""More than a configuration with ten thousand numbers or names."""

SourceFormat = Literal["folder", "pytorch", "safetensors"]

SUPPORTED = (
    "iddm imports .pt files of IDDM, folders of diffusers, and files of `iddm export safetensors`."
)


def detect_format(source: Path) -> SourceFormat:
    """Return the kind of a file or folder, by its content rather than by its name.

    Raises:
        CheckpointError: It is missing, or of no supported kind.
    """
    try:
        mode = source.stat().st_mode
        if stat.S_ISDIR(mode):
            return "folder"
        check_regular_file(source)
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
        f"{source} is neither a PyTorch file (1.6 or later) nor a safetensors file",
        "If an older PyTorch wrote it, load it there and save it with a newer version.",
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: It is missing, too large, or not a JSON object.
    """
    try:
        check_regular_file(path)
        with path.open("rb") as file:
            content = file.read(MAX_JSON_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    return parse_json(content, str(path))


def parse_json(content: bytes | str, what: str) -> dict[str, Any]:
    """Parse a JSON object, which errors call `what`.

    Raises:
        CheckpointError: It is too large, or not a JSON object.
    """
    if len(content) > MAX_JSON_BYTES:
        raise CheckpointError(f"{what} has more than {MAX_JSON_BYTES:,} bytes")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{what} is not valid JSON") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{what} is not a JSON object")
    return document
