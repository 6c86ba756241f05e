"""Exported files: weights with all that using them needs, in one safetensors file.

The metadata of the file has one entry, `iddm`: a JSON document, see Record. Reading it loads
nothing else; whoever wants the tensors alone finds them under the names of the network.
"""

import hashlib
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iddm_cli.errors import CheckpointError

SUFFIX = ".safetensors"
FORMAT = 1
KEY = "iddm"
MOST_HEADER_BYTES = 2**25
CHUNK_BYTES = 2**20

Name = Annotated[str, Field(max_length=2**16)]


class ExportRecord(BaseModel):
    """What an exported file says of itself."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    format: int = Field(ge=FORMAT, le=FORMAT)
    run: str = Field(max_length=255, pattern=r"^[^/\\\x00-\x1f\x7f]+$")
    """The run's name, of which names of files are made."""

    step: int = Field(ge=0, lt=2**63)
    weights: Literal["average", "raw"]
    profile: dict[str, Any]
    classes: list[Name] = Field(max_length=2**16)
    versions: dict[str, str] = {}
    dataset: dict[str, Any] = {}
    sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    """Digest of all bytes after the header."""


@dataclass(frozen=True)
class ExportedFile:
    """An exported file."""

    path: Path
    record: ExportRecord

    def verify(self) -> None:
        """Compare the tensors with the digest that was written down for them.

        Raises:
            CheckpointError: They are not what was written.
        """
        with self.path.open("rb") as file:
            file.seek(8 + int.from_bytes(file.read(8), "little"))
            found = hashlib.sha256()
            while chunk := file.read(CHUNK_BYTES):
                found.update(chunk)
        if self.record.sha256 and found.hexdigest() != self.record.sha256:
            raise CheckpointError(f"{self.path} is damaged: its SHA-256 has changed")


def is_exported_file(reference: str | None) -> bool:
    """Whether what a user gave in the place of a run is an exported file."""
    return reference is not None and reference.endswith(SUFFIX)


def open_exported_file(path: Path) -> ExportedFile:
    """Read what an exported file says of itself.

    Raises:
        CheckpointError: It is missing, is no such file, or is of a newer format.
    """
    try:
        header = _header(path)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no safetensors file, or is damaged") from error
    metadata = header.get("__metadata__")
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise CheckpointError(
            f"{path} was not exported by iddm: it does not say which network it belongs to",
            "Make such a file with: iddm export safetensors RUN",
        )
    return ExportedFile(path, _record(path, text))


def _header(path: Path) -> dict[str, Any]:
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("no file")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= MOST_HEADER_BYTES:
            raise ValueError("no header")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("no header")
    return header


def _record(path: Path, text: str) -> ExportRecord:
    try:
        document = json.loads(text)
        version = document.get("format") if isinstance(document, dict) else None
        if type(version) is int and version > FORMAT:
            raise CheckpointError(
                f"{path} has format {version}; this version of iddm reads {FORMAT}",
                "Use the version of iddm that wrote it.",
            )
        return ExportRecord.model_validate(document)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise CheckpointError(f"{path} is damaged: {where[:100]}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: what it says of itself is no JSON") from error
