"""A run: the folder of one training, its files, and its lock."""

import contextlib
import json
import os
import socket
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from iddm_cli import durable
from iddm_cli.errors import RunError
from iddm_cli.runs.locks import RunLock

if TYPE_CHECKING:
    from collections.abc import Callable

    from iddm_cli.records.latent_scale import LatentScale
    from iddm_cli.records.tuned_tables import TunedTables
    from iddm_cli.value_range import ValueRange

Parsed = TypeVar("Parsed")

MAX_JSON_BYTES = 2**26
"""Enough for the names of ten thousand skipped files."""


ENCODER_FILE = "encoder.safetensors"
"""The autoencoder of a run on latents, as an exported file."""


@dataclass(frozen=True)
class Run:
    """The folder of a run.

    Attributes:
        path: Path of the folder.
    """

    path: Path

    @property
    def name(self) -> str:
        """Name of the run: that of its folder, also if the path is `.` or `..`."""
        return (self.path.resolve() if self.path.name in ("", "..") else self.path).name

    @property
    def profile_path(self) -> Path:
        """Path of the resolved profile."""
        return self.path / "profile.yaml"

    @property
    def teacher_path(self) -> Path:
        """Path of the exported teacher, which a distilled run has."""
        return self.path / "teacher.safetensors"

    @property
    def base_path(self) -> Path:
        """Path of the frozen network, as an exported file, which a run of adapters has."""
        return self.path / "base.safetensors"

    @property
    def encoder_path(self) -> Path:
        """Path of the autoencoder, as an exported file, which a run on latents has."""
        return self.path / ENCODER_FILE

    @property
    def checkpoints_dir(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def snapshots_dir(self) -> Path:
        """Folder of snapshots of the EMA."""
        return self.path / "snapshots"

    @property
    def averages_dir(self) -> Path:
        """Folder of averages of a chosen length."""
        return self.path / "averages"

    @property
    def samples_dir(self) -> Path:
        """Folder of sample grids."""
        return self.path / "samples"

    @property
    def metrics(self) -> durable.LineFile:
        """The file of metrics: one JSON object for each logged step."""
        return durable.LineFile(self.path / "metrics.jsonl")

    def log(self, text: str) -> None:
        """Append a line with the time to log.txt."""
        stamp = datetime.now().isoformat(timespec="seconds")
        durable.LineFile(self.path / "log.txt").append(f"{stamp} {text}")

    def read_json(self, name: str) -> dict[str, object]:
        """Return the content of one of the run's JSON files.

        Raises:
            RunError: The file is missing or not a JSON object.
        """
        path = durable.find(self.path / name)
        try:
            with path.open("rb") as file:
                document = json.loads(file.read(MAX_JSON_BYTES))
        except OSError as error:
            raise RunError(f"{self.path} is not a valid run: {name}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise RunError(f"{path} is damaged: {error}") from error
        if not isinstance(document, dict):
            raise RunError(f"{path} is damaged: it does not contain a JSON object")
        return document

    def read_classes(self) -> tuple[str, ...]:
        """Return the names of the classes, in the order of their labels.

        Raises:
            RunError: dataset.json is missing or damaged.
        """
        damaged = f"{self.path / 'dataset.json'} is damaged"
        classes = self.read_json("dataset.json").get("classes")
        if not isinstance(classes, dict):
            raise RunError(f"{damaged}: it contains no classes")
        try:
            "".join(classes).encode()
        except UnicodeEncodeError as error:
            raise RunError(f"{damaged}: a class name contains a lone surrogate") from error
        return tuple(classes)

    def read_values(self) -> "ValueRange":
        """Return the range of values that the run is trained on; 8 bits if it records none.

        Raises:
            RunError: dataset.json is missing or damaged.
        """
        from iddm_cli.value_range import parse_value_range

        return self._parse_dataset_file(parse_value_range)

    def read_latent_scale(self) -> "LatentScale":
        """Return the scale of the latents that the run is trained on.

        Raises:
            RunError: dataset.json is missing or damaged.
        """
        from iddm_cli.records.latent_scale import parse_latent_scale

        return self._parse_dataset_file(parse_latent_scale)

    def _parse_dataset_file(self, parse: "Callable[[dict[str, Any]], Parsed]") -> Parsed:
        try:
            return parse(self.read_json("dataset.json"))
        except ValueError as error:
            raise RunError(f"{self.path / 'dataset.json'} is damaged: {error}") from error

    def read_tuned_tables(self) -> "TunedTables":
        """Return the tables that `iddm tune-sampler` fitted to the network; none without its file.

        Raises:
            RunError: The file is damaged.
        """
        from iddm_cli.records.tuned_tables import FILE_NAME, NO_TABLES, parse_tuned_tables

        command = f"iddm tune-sampler {self.name}"
        if not durable.find(self.path / FILE_NAME).exists():
            return replace(NO_TABLES, command=command)
        again = f"Make it again: {command}"
        try:
            return parse_tuned_tables(self.read_json(FILE_NAME), command)
        except RunError as error:
            raise RunError(error.problem, again) from error
        except ValueError as error:
            raise RunError(f"{self.path / FILE_NAME} is damaged: {error}", again) from error

    def write_json(self, name: str, document: dict[str, object]) -> None:
        """Write one of the run's JSON files atomically."""
        durable.write_file(self.path / name, encode_json(document))

    def update_manifest(self, **changes: object) -> None:
        """Change entries of run.json, and its time of update."""
        exists = durable.find(self.path / "run.json").exists()
        before = self.read_json("run.json") if exists else {}
        self.write_json("run.json", stamp_manifest(before, **changes))

    def starts_trained(self) -> bool:
        """Return whether the network is trained before step 0: imported, or of another model.

        Raises:
            RunError: run.json is missing or damaged.
        """
        manifest = self.read_json("run.json")
        return bool({"source", "started_from"} & manifest.keys()) or self.teacher_path.exists()

    def read_new_labels(self) -> list[int]:
        """Return the labels of the classes that the model which it started from did not have.

        Raises:
            RunError: run.json is missing or damaged.
        """
        origin = self.read_json("run.json").get("started_from")
        labels = origin.get("new_labels") if isinstance(origin, dict) else None
        found = labels if isinstance(labels, list) else []
        return [label for label in found if type(label) is int]

    def read_state(self) -> str:
        """Return the state in run.json, or "killed" if it claims to run but no process holds it.

        Raises:
            RunError: run.json is damaged.
        """
        state = str(self.read_json("run.json").get("state", "unknown"))
        return "killed" if state in ("starting", "running") and self.lock.is_free() else state

    def read_metrics(self) -> list[dict[str, float]]:
        """Return the complete lines of metrics.jsonl."""
        rows = []
        for line in self.metrics.read_lines():
            with contextlib.suppress(ValueError, RecursionError):
                rows.append(json.loads(line))
        return [row for row in rows if isinstance(row, dict) and type(row.get("step")) is int]

    def truncate_metrics(self, step: int) -> None:
        """Drop the lines after `step`, so that a resumed run logs each step once."""
        kept = [json.dumps(row) for row in self.read_metrics() if row["step"] <= step]
        self.metrics.rewrite(kept)

    @property
    def lock(self) -> RunLock:
        """Lock that keeps two processes from training the run at once."""
        return RunLock(self.path)


def encode_json(document: dict[str, object]) -> bytes:
    """Encode the content of one of a run's JSON files."""
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def stamp_manifest(before: dict[str, object], **changes: object) -> dict[str, object]:
    """Return the content of run.json with some entries and the time of update changed."""
    return {**before, **changes, "updated": datetime.now().astimezone().isoformat()}


def identify_process() -> dict[str, object]:
    """Return the process id and host name, for run.json."""
    return {"pid": os.getpid(), "host": socket.gethostname()}
