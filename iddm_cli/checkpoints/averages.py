"""Averages of a chosen length: weights in a file of their own, and how they were made.

averages/average-0.1-step-00000520.safetensors     the weights
averages/average-0.1-step-00000520.json            length, coefficients of what was combined,
size and SHA-256 of the weights
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError
from safetensors.torch import save

from iddm_cli import durable
from iddm_cli.checkpoints.checkpoint import MAX_STATE_BYTES
from iddm_cli.checkpoints.files import check_digest, check_regular_file
from iddm_cli.checkpoints.state_file import FileRecord, StrictTable, record_file
from iddm_cli.checkpoints.tensors import Tensors, read_tensors, truncate
from iddm_cli.errors import CheckpointError
from iddm_cli.records.weights_names import AVERAGE_NAME

FORMAT = 1
FILE_NAME = re.compile(rf"({AVERAGE_NAME[1:-1]})-step-([0-9]{{8,}})\.json")


class IngredientRecord(StrictTable):
    """One of the EMAs that were combined."""

    step: int = Field(ge=0, lt=2**63)
    coefficient: float
    origin: str
    """checkpoint or snapshot."""

    ema_decay: float
    sha256: str


class AverageRecord(StrictTable):
    """The content of the JSON file of an average."""

    format: int = Field(ge=FORMAT, le=FORMAT)
    name: str = Field(pattern=AVERAGE_NAME)
    length: float
    gamma: float
    step: int = Field(ge=0, lt=2**63)
    similarity: float
    """Cosine of the angle between its weight profile and that of the power-function EMA."""

    combined: list[IngredientRecord]
    weights: FileRecord


@dataclass(frozen=True)
class SynthesizedAverage:
    """An average of a chosen length on the disk, with the interface of a checkpoint.

    Attributes:
        path: The file of its weights.
        record: How it was made.
    """

    path: Path
    record: AverageRecord

    @property
    def step(self) -> int:
        """Number of updates made at its end."""
        return self.record.step

    def read(self, _part: str, like: Tensors | None = None) -> Tensors:
        """Read the weights, after their digest is checked.

        Args:
            like: Tensors that they must match by name, shape and type.

        Raises:
            CheckpointError: They are missing or damaged, or do not match.
        """
        weights = self.record.weights
        check_digest(self.path, weights.bytes, weights.sha256)
        return read_tensors(self.path, like, str(self.path), check_finite=True)

    def digest(self, _part: str) -> str:
        """Return the SHA-256 of the file."""
        return self.record.weights.sha256


class AverageFolder:
    """The averages of chosen lengths of a run.

    Args:
        path: The folder that holds them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def list_names(self) -> list[tuple[str, int]]:
        """Return name and step of each, sorted."""
        found = self.path.iterdir() if self.path.is_dir() else iter(())
        matches = (FILE_NAME.fullmatch(path.name) for path in found)
        return sorted((match[1], int(match[2])) for match in matches if match)

    def open(self, name: str, step: int) -> SynthesizedAverage:
        """Read the record of an average.

        Raises:
            CheckpointError: It is missing, damaged, or of a newer format.
        """
        path = self.locate(name, step, ".json")
        try:
            check_regular_file(path)
            with path.open("rb") as file:
                document = json.loads(file.read(MAX_STATE_BYTES))
            record = AverageRecord.model_validate(document)
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror}") from error
        except (ValidationError, ValueError, RecursionError) as error:
            raise CheckpointError(f"{path} is damaged: {truncate(error)}") from error
        if (record.name, record.step) != (name, step):
            raise CheckpointError(f"{path} is damaged: it is {record.name} of step {record.step}")
        return SynthesizedAverage(self.locate(name, step), record)

    def write(self, tensors: Tensors, facts: dict[str, object]) -> SynthesizedAverage:
        """Write an average; one of the same name and step is replaced.

        Args:
            tensors: The weights.
            facts: The fields of `AverageRecord` but format and weights.

        Raises:
            OSError: It could not be written.
        """
        content = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        weights = record_file(content).model_dump()
        record = AverageRecord.model_validate({"format": FORMAT, **facts, "weights": weights})
        durable.create_folder(self.path)
        durable.remove_partials(self.path)
        path = self.locate(record.name, record.step)
        durable.write_file(path, content)
        text = json.dumps(record.model_dump(), indent=1) + "\n"
        durable.write_file(path.with_suffix(".json"), text.encode())
        return SynthesizedAverage(path, record)

    def locate(self, name: str, step: int, suffix: str = ".safetensors") -> Path:
        """Return the path of an average's weights, or of its other file."""
        return self.path / f"{name}-step-{step:08d}{suffix}"
