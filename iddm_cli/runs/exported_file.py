"""Exported model files: one safetensors file with the weights and everything needed to use them.

The safetensors metadata has one entry, `iddm`: a JSON document (see ExportRecord). Reading the
record loads no tensor; other programs find the tensors under the network's parameter names. The
file of a latent model also holds the autoencoder, whose names begin with AUTOENCODER.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iddm_cli.errors import CheckpointError
from iddm_cli.records.file_headers import read_header
from iddm_cli.records.weights_names import WeightsName

if TYPE_CHECKING:
    from collections.abc import Callable

    from iddm_cli.records.latent_scale import LatentScale
    from iddm_cli.records.tuned_tables import TunedTables
    from iddm_cli.value_range import ValueRange

SUFFIX = ".safetensors"
FORMAT = 1
KEY = "iddm"
"""The metadata entry that holds the record."""

AUTOENCODER = "autoencoder."
"""Prefix of the names of the autoencoder's tensors in the file of a latent model."""

CHUNK_BYTES = 2**20

Item = TypeVar("Item")
Parsed = TypeVar("Parsed")
ClassName = Annotated[str, Field(max_length=2**16)]


class ExportRecord(BaseModel):
    """The metadata of an exported file."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    format: int = Field(ge=FORMAT, le=FORMAT)
    run: str = Field(max_length=255, pattern=r"^[^/\\\x00-\x1f\x7f]+$")
    """The run's name, from which output file names are built."""

    step: int = Field(ge=0, lt=2**63)
    weights: WeightsName
    profile: dict[str, Any]
    classes: list[ClassName] = Field(max_length=2**16)
    versions: dict[str, str] = {}
    dataset: dict[str, Any] = {}
    tuned: dict[str, Any] = {}
    """The tuned tables, see `TunedTables`; empty where there are none."""

    autoencoder: dict[str, Any] = {}
    """The record of the autoencoder, whose SHA-256 is that of its own file; empty for pixels."""

    sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    """SHA-256 of all bytes after the header."""


@dataclass(frozen=True)
class ExportedFile:
    """An exported file and its record.

    Attributes:
        path: The file.
        record: The record of the model.
        outer: The record of the file, where the model is the autoencoder inside it.
    """

    path: Path
    record: ExportRecord
    outer: ExportRecord | None = None

    def open_autoencoder(self) -> "ExportedFile":
        """Return the autoencoder inside the file of a latent model.

        Raises:
            CheckpointError: There is none, or its record is damaged.
        """
        if not self.record.autoencoder:
            raise CheckpointError(
                f"{self.path} is damaged: it contains no autoencoder, on whose latents the model "
                "was trained"
            )
        text = json.dumps(self.record.autoencoder)
        return ExportedFile(self.path, _parse_record(self.path, text), self.record)

    def select_own(self, named: Mapping[str, Item]) -> dict[str, Item]:
        """Return what belongs to this model of what belongs to each tensor of the file, by name."""
        if self.outer is None:
            is_alone = not self.record.autoencoder
            return {k: v for k, v in named.items() if is_alone or not k.startswith(AUTOENCODER)}
        return {
            name.removeprefix(AUTOENCODER): item
            for name, item in named.items()
            if name.startswith(AUTOENCODER)
        }

    def read_latent_scale(self) -> "LatentScale":
        """Return the scale of the latents that the model was trained on.

        Raises:
            CheckpointError: The record is damaged.
        """
        from iddm_cli.records.latent_scale import parse_latent_scale

        return self._read("dataset", parse_latent_scale)

    def read_values(self) -> "ValueRange":
        """Return the range of values that the model was trained on; 8 bits if none is recorded.

        Raises:
            CheckpointError: The record is damaged.
        """
        from iddm_cli.value_range import parse_value_range

        return self._read("dataset", parse_value_range)

    def read_tuned_tables(self) -> "TunedTables":
        """Return the tables that were tuned for the network.

        Raises:
            CheckpointError: The record is damaged.
        """
        from iddm_cli.records.tuned_tables import parse_tuned_tables

        return self._read("tuned", parse_tuned_tables)

    def _read(self, section: str, parse: "Callable[[dict[str, Any]], Parsed]") -> Parsed:
        """Return what a section of the record says; a ValueError means that it is damaged."""
        try:
            return parse(getattr(self.record, section))
        except ValueError as error:
            raise CheckpointError(f"{self.path} is damaged: {section}.{error}") from error

    def verify(self) -> None:
        """Check the tensors against the SHA-256 in the record.

        Raises:
            CheckpointError: They have changed.
        """
        with self.path.open("rb") as file:
            file.seek(8 + int.from_bytes(file.read(8), "little"))
            digest = hashlib.sha256()
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
        recorded = (self.outer or self.record).sha256
        if recorded and digest.hexdigest() != recorded:
            raise CheckpointError(f"{self.path} is damaged: its SHA-256 has changed")


def is_exported_file(reference: str | None) -> bool:
    """Return whether a RUN argument names an exported file."""
    return reference is not None and reference.endswith(SUFFIX)


def open_exported_file(path: Path) -> ExportedFile:
    """Read the record of an exported file.

    Raises:
        CheckpointError: It is missing, is not an exported file, or has a newer format.
    """
    try:
        header = read_header(path)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a safetensors file, or is damaged") from error
    metadata = header.get("__metadata__")
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise CheckpointError(
            f"{path} was not exported by iddm: it has no record of its network",
            "Create such a file with: iddm export safetensors RUN",
        )
    return ExportedFile(path, _parse_record(path, text))


def _parse_record(path: Path, text: str) -> ExportRecord:
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
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise CheckpointError(f"{path} is damaged: {key[:100]}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: its record is not valid JSON") from error
