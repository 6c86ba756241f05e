"""Headers of safetensors files, read without their tensors."""

import json
import stat
from pathlib import Path
from typing import Any

MAX_HEADER_BYTES = 2**25


def read_header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file, with its metadata under `__metadata__`.

    Raises:
        ValueError: It has no valid header.
        OSError: It cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe could block for ever
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= MAX_HEADER_BYTES:
            raise ValueError("not a header")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("not a header")
    return header
