"""A run: the folder of one training, the plain files inside it, and its lock."""

import contextlib
import json
import os
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from iddm_cli import durable
from iddm_cli.errors import RunError
from iddm_cli.runs.locks import RunLock

MOST_JSON_BYTES = 2**26
"""More than the names of ten thousand files that were left out."""


@dataclass(frozen=True)
class Run:
    """One run's folder."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name, which is its folder's, also where that is called `.` or `..`."""
        return (self.path.resolve() if self.path.name in ("", "..") else self.path).name

    @property
    def profile_path(self) -> Path:
        """The profile as resolved."""
        return self.path / "profile.yaml"

    @property
    def checkpoints_dir(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def samples_dir(self) -> Path:
        """The folder of sample grids."""
        return self.path / "samples"

    @property
    def metrics(self) -> durable.LineFile:
        """One JSON object for each logged step."""
        return durable.LineFile(self.path / "metrics.jsonl")

    def log(self, text: str) -> None:
        """Add a line, with the time, to log.txt."""
        stamp = datetime.now().isoformat(timespec="seconds")
        durable.LineFile(self.path / "log.txt").append(f"{stamp} {text}")

    def read_json(self, name: str) -> dict[str, object]:
        """Read one of the run's JSON files.

        Raises:
            RunError: It is missing or not a JSON object.
        """
        path = self.path / name
        try:
            with path.open("rb") as file:
                document = json.loads(file.read(MOST_JSON_BYTES))
        except OSError as error:
            raise RunError(f"{self.path} is no usable run: {name}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise RunError(f"{path} is damaged: {error}") from error
        if not isinstance(document, dict):
            raise RunError(f"{path} is damaged: it holds no JSON object")
        return document

    def read_classes(self) -> tuple[str, ...]:
        """Return the classes that the run knows, in the order of their labels.

        Raises:
            RunError: dataset.json is missing or damaged.
        """
        damaged = f"{self.path / 'dataset.json'} is damaged"
        classes = self.read_json("dataset.json").get("classes")
        if not isinstance(classes, dict):
            raise RunError(f"{damaged}: it names no classes")
        try:
            "".join(classes).encode()
        except UnicodeEncodeError as error:
            raise RunError(f"{damaged}: half a letter in the name of a class") from error
        return tuple(classes)

    def write_json(self, name: str, document: dict[str, object]) -> None:
        """Write one of the run's JSON files, whole or not at all."""
        durable.write_file(self.path / name, encode_json(document))

    def update_manifest(self, **changes: object) -> None:
        """Change entries of run.json."""
        path = self.path / "run.json"
        before = self.read_json("run.json") if path.exists() else {}
        self.write_json("run.json", stamp_manifest(before, **changes))

    def read_state(self) -> str:
        """Return the state in run.json, or "killed" if it claims to run but no process holds it.

        Raises:
            RunError: run.json is damaged.
        """
        state = str(self.read_json("run.json").get("state", "unknown"))
        return "killed" if state in ("starting", "running") and self.lock.is_free() else state

    def read_metrics(self) -> list[dict[str, float]]:
        """Return the lines of metrics.jsonl that are whole."""
        rows = []
        for line in self.metrics.read_lines():
            with contextlib.suppress(ValueError, RecursionError):
                rows.append(json.loads(line))
        return [row for row in rows if isinstance(row, dict) and type(row.get("step")) is int]

    def truncate_metrics(self, step: int) -> None:
        """Drop the lines after `step`, so that a resumed run has each step once."""
        kept = [json.dumps(row) for row in self.read_metrics() if row["step"] <= step]
        self.metrics.rewrite(kept)

    @property
    def lock(self) -> RunLock:
        """What keeps two processes from training it at once."""
        return RunLock(self.path)


def encode_json(document: dict[str, object]) -> bytes:
    """Return the content of a run's JSON file."""
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def stamp_manifest(before: dict[str, object], **changes: object) -> dict[str, object]:
    """Return run.json with some entries changed, and when."""
    return {**before, **changes, "updated": datetime.now().astimezone().isoformat()}


def identify_process() -> dict[str, object]:
    """Say which process this is, for run.json."""
    return {"pid": os.getpid(), "host": socket.gethostname()}
