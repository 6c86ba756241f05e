"""PyTorch files that nobody vouches for: what they hold is known before any of it is read.

Their zip archive must store its members as they are; the pickle in it is read by a machine that
executes nothing (see pickled.py); every storage must have the bytes that it declares. Only then,
and after the reader has accepted every name and shape, is the file read, by
torch.load(weights_only=True), and by nothing else if that fails.
"""

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any, TypeVar

import torch

from iddm_cli.checkpoints.tensors import TensorSpecs, truncate
from iddm_cli.errors import CheckpointError
from iddm_cli.importing.files import refuse_what_is_no_file
from iddm_cli.importing.pickle_parser import Declared, RefusedError, describe

Thing = TypeVar("Thing")

MOST_PICKLE_BYTES = 2**23
MOST_DIRECTORY_BYTES = 2**21

BROKEN = (OSError, ValueError, zipfile.BadZipFile, struct.error, NotImplementedError,
          RuntimeError, EOFError)  # fmt: skip
"""What zipfile raises."""

NOT_LOADED = (pickle.UnpicklingError, RuntimeError, ValueError, AssertionError, LookupError,
              OSError, EOFError, TypeError, AttributeError)  # fmt: skip
"""What torch.load raises."""


class Sips(io.FileIO):
    """A file of which only so much is read at once: zipfile reads a directory of any length."""

    def read(self, size: int | None = -1) -> bytes:
        """Read some bytes."""
        asked = MOST_DIRECTORY_BYTES if size is None or size < 0 else size
        return super().read(min(asked, MOST_DIRECTORY_BYTES)) or b""


def look_into(path: Path) -> Any:
    """Return what a file of torch.save holds, each tensor as `Declared`; none of it is read.

    Raises:
        CheckpointError: It is damaged, or does what no file of weights has to do.
    """
    refuse_what_is_no_file(path)
    try:
        with Sips(path) as file, zipfile.ZipFile(file) as archive:
            members = _members(archive, path.stat().st_size)
            if members["data.pkl"].file_size > MOST_PICKLE_BYTES:
                raise RefusedError("it is far too long")
            contents, storages = describe(archive.read(members["data.pkl"]))
    except RefusedError as error:
        raise CheckpointError(f"{path} is refused: {error}", "Nothing in it was executed.") from (
            error
        )
    except KeyError as error:
        raise CheckpointError(f"{path} is no file of PyTorch: it has no data.pkl") from error
    except BROKEN as error:
        raise CheckpointError(f"{path} is damaged: {truncate(error)}") from error
    for storage in storages:
        member = members.get(f"data/{storage.key}")
        if member is None or member.file_size != storage.count * storage.itemsize:
            raise CheckpointError(f"{path} is damaged: a tensor's numbers are not all there")
    return contents


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members by their names below the archive's one folder.

    Raises:
        RefusedError: They are compressed, encrypted, larger than the file, or there twice.
    """
    entries = archive.infolist()
    folders = {entry.filename.partition("/")[0] for entry in entries}
    members = {entry.filename.partition("/")[2]: entry for entry in entries}
    if len(folders) != 1 or len(members) < len(entries):
        raise RefusedError("it is no archive that torch.save would write")
    for entry in entries:
        stored = entry.compress_type == zipfile.ZIP_STORED
        if not stored or entry.flag_bits & 1 or entry.file_size != entry.compress_size:
            raise RefusedError("its archive is compressed, which torch.save never does")
    if sum(entry.file_size for entry in entries) > size:
        raise RefusedError("its archive declares more than the file holds")
    return members


def tensors_in(table: Any, what: str) -> dict[str, Declared]:
    """Return a state dict of the file, refusing what is none.

    Raises:
        CheckpointError: There is something else in it than tensors with names.
    """
    if not isinstance(table, dict) or not table:
        raise CheckpointError(f"{what} holds no weights")
    for name, value in table.items():
        if not isinstance(name, str) or not isinstance(value, Declared):
            raise CheckpointError(f"{what} does not only hold tensors: {truncate(name)} is none")
    return table


def kinds(table: dict[str, Declared]) -> TensorSpecs:
    """Describe tensors as our own are described."""
    return {name: (one.shape, one.storage.kind) for name, one in table.items()}


def load(path: Path) -> Any:
    """Read a file that `look_into` has accepted; its tensors stay on the disk until copied.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except NOT_LOADED as error:
        raise CheckpointError(
            f"{path} cannot be read: {truncate(error).splitlines()[0]}"
        ) from error


def pick(table: dict[str, Thing], names: dict[str, str]) -> dict[str, Thing]:
    """Return the tensors of a state dict under other names.

    Args:
        table: The state dict, declared or loaded.
        names: The file's name of each tensor, by ours.
    """
    return {ours: table[theirs] for ours, theirs in names.items()}
