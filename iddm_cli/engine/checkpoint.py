"""Checkpoints: folders of safetensors and one JSON file that vouches for them.

    step-00000500/
      model.safetensors       weights as the optimizer left them
      average.safetensors     averaged weights
      optimizer.safetensors   its state, named <parameter>.<quantity>
      state.json              format, step, what decided the bits, size and SHA-256 of each file,
                            and its own SHA-256

A checkpoint appears under its name only when every byte of it is on the disk, and is used only
if every file still has its digest.
"""

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from iddm_cli import durable
from iddm_cli.errors import CheckpointError

FORMAT = 1
PARTS = ("model", "average", "optimizer")
NAME = re.compile(r"step-(\d{8,})")

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on the disk whose state.json is well formed.

    Attributes:
        path: Its folder.
        step: Updates done when it was saved.
        bits: What decided the last bits when it was saved.
        scaler: The state of the gradient scaler.
        files: Size and SHA-256 of each file.
    """

    path: Path
    step: int
    bits: dict[str, object]
    scaler: dict[str, Any]
    files: dict[str, dict[str, object]]

    def read(self, part: str) -> Tensors:
        """Read one part, checking its digest.

        Raises:
            CheckpointError: The file is missing, or is not what was written.
        """
        name = f"{part}.safetensors"
        try:
            content = (self.path / name).read_bytes()
            self.check(name, content)
            return load(content)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{self.path / name}: {error}") from error

    def check(self, name: str, content: bytes) -> None:
        """Compare a file's bytes with the digest that was written down for it."""
        wanted = self.files.get(name, {}).get("sha256")
        if hashlib.sha256(content).hexdigest() != wanted:
            raise CheckpointError(f"{self.path / name} is damaged: its SHA-256 has changed")

    def verify(self) -> None:
        """Check every file.

        Raises:
            CheckpointError: One is missing or is not what was written.
        """
        for part in PARTS:
            self.read(part)


def folder_name(step: int) -> str:
    """Return the name of the checkpoint of that step."""
    return f"step-{step:08d}"


def signed(document: dict[str, Any]) -> dict[str, Any]:
    """Return a state.json's document with the SHA-256 of all else in it."""
    rest = {key: value for key, value in document.items() if key != "sha256"}
    content = json.dumps(rest, sort_keys=True).encode()
    return {**rest, "sha256": hashlib.sha256(content).hexdigest()}


def open_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint's state.json.

    Raises:
        CheckpointError: It is missing, malformed, or of a newer format.
    """
    try:
        document = json.loads((path / "state.json").read_text(encoding="utf-8"))
        version, sound = int(document["format"]), signed(document) == document
        step = int(document["step"])
        tables = [dict(document[name]) for name in ("bits", "scaler", "files")]
    except OSError as error:
        raise CheckpointError(f"{path} is no checkpoint: {error.strerror}: state.json") from error
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path / 'state.json'} is damaged: {error}") from error
    if version != FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {version}; this version of iddm reads {FORMAT}",
            "Use the version of iddm that wrote it.",
        )
    if not sound or path.name != folder_name(step):
        raise CheckpointError(f"{path / 'state.json'} is damaged: it is not what was written")
    return Checkpoint(path, step, *tables)


class CheckpointFolder:
    """The checkpoints of a run.

    Args:
        path: The folder that holds them.
        keep: How many of the newest stay; None keeps all.
    """

    def __init__(self, path: Path, keep: int | None = None) -> None:
        self.path = path
        self.keep = keep

    def paths(self) -> list[Path]:
        """Return the checkpoint folders, oldest first."""
        found = self.path.iterdir() if self.path.is_dir() else iter(())
        named = ((NAME.fullmatch(path.name), path) for path in found)
        return [path for _, path in sorted((int(m[1]), path) for m, path in named if m)]

    def newest(self) -> tuple[Checkpoint, list[CheckpointError]]:
        """Return the newest checkpoint that verifies, and what is wrong with any newer ones.

        Raises:
            CheckpointError: None verifies.
        """
        damaged: list[CheckpointError] = []
        for path in reversed(self.paths()):
            try:
                checkpoint = open_checkpoint(path)
                checkpoint.verify()
            except CheckpointError as error:
                damaged.append(error)
            else:
                return checkpoint, damaged
        if damaged:
            raise CheckpointError("\n".join(error.problem for error in damaged))
        raise CheckpointError(f"{self.path} holds no checkpoint")

    def at(self, step: int) -> Checkpoint:
        """Return the checkpoint of one step.

        Raises:
            CheckpointError: There is none, or it does not verify.
        """
        path = self.path / folder_name(step)
        if not path.is_dir():
            steps = [int(path.name.removeprefix("step-")) for path in self.paths()]
            known = ", ".join(map(str, steps)) or "none"
            raise CheckpointError(f"no checkpoint of step {step}", f"There are: {known}.")
        checkpoint = open_checkpoint(path)
        checkpoint.verify()
        return checkpoint

    def save(self, step: int, parts: dict[str, Tensors], state: dict[str, object]) -> Path:
        """Write a checkpoint, then remove the oldest beyond `keep`.

        Raises:
            CheckpointError: It could not be written; what was there before still is.
        """
        final = self.path / folder_name(step)
        temporary = durable.partial_name(final)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            durable.sweep(self.path)
            self._write(temporary, step, parts, state)
            self._publish(temporary, final)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            reason = error.strerror or str(error)
            raise CheckpointError(
                f"checkpoint of step {step} could not be saved: {reason}",
                "Earlier checkpoints are untouched. Make room, then: iddm resume",
            ) from error
        self._prune()
        return final

    def _write(
        self, temporary: Path, step: int, parts: dict[str, Tensors], state: dict[str, object]
    ) -> None:
        temporary.mkdir()
        files = {}
        for part, tensors in parts.items():
            content = save({name: tensor.contiguous() for name, tensor in tensors.items()})
            files[f"{part}.safetensors"] = {
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
            durable.write_file(temporary / f"{part}.safetensors", content)
        document = {"format": FORMAT, "step": step, **state, "files": files}
        content = json.dumps(signed(document), indent=1).encode()
        durable.write_file(temporary / "state.json", content)

    def _publish(self, temporary: Path, final: Path) -> None:
        if final.exists():
            # Only a damaged one is ever saved again; it makes way, and is kept for inspection.
            final.rename(final.with_name(f"{final.name}.damaged-{os.getpid()}"))
        durable.publish_folder(temporary, final)

    def _prune(self) -> None:
        paths = self.paths()
        for path in paths[: -self.keep] if self.keep else []:
            # Renamed first: a removal cut off halfway leaves nothing that looks like a checkpoint.
            doomed = durable.partial_name(path)
            path.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)


def restore(targets: Tensors, saved: Tensors, what: str) -> None:
    """Copy saved tensors into tensors of the same names and shapes.

    Raises:
        CheckpointError: A tensor is missing, unexpected or of another shape; nothing was copied.
    """
    check_fit(targets, saved, what)
    for name, target in targets.items():
        target.copy_(saved[name])


def check_fit(targets: Tensors, saved: Tensors, what: str) -> None:
    """Hold saved tensors against those that they are to be copied into.

    Raises:
        CheckpointError: A tensor is missing, unexpected or of another shape.
    """
    missing = sorted(targets.keys() - saved.keys())
    unexpected = sorted(saved.keys() - targets.keys())
    misshapen = [
        f"{name} is {list(saved[name].shape)}, should be {list(targets[name].shape)}"
        for name in sorted(targets.keys() & saved.keys())
        if saved[name].shape != targets[name].shape
    ]
    told = [
        f"{word}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
        for word, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("wrong shape", misshapen),
        )
        if names
    ]
    if told:
        raise CheckpointError(
            f"{what} does not fit this network: {'; '.join(told)}",
            "The profile's model section must be the one it was trained with.",
        )
