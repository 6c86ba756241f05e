"""Untrusted PyTorch files: inspect what a file declares before any of it is loaded.

The zip archive must store its members uncompressed; the pickle in it is interpreted without
executing anything (see pickle_parser.py); every storage must have the number of bytes that it
declares. Only then, and after the reader has accepted every name and shape, does
torch.load(weights_only=True) load the file, and nothing else if that fails.
"""

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any, TypeVar

import torch

from iddm_cli.checkpoints.files import check_regular_file
from iddm_cli.checkpoints.tensors import TensorSpecs, truncate
from iddm_cli.errors import CheckpointError
from iddm_cli.importing.pickle_parser import DeclaredTensor, RefusedError, parse_pickle

T = TypeVar("T")

MAX_PICKLE_BYTES = 2**23
MAX_DIRECTORY_BYTES = 2**21

ZIP_ERRORS = (OSError, ValueError, zipfile.BadZipFile, struct.error, NotImplementedError,
          RuntimeError, EOFError)  # fmt: skip
"""Errors that zipfile raises for damaged archives."""

LOAD_ERRORS = (pickle.UnpicklingError, RuntimeError, ValueError, AssertionError, LookupError,
              OSError, EOFError, TypeError, AttributeError)  # fmt: skip
"""Errors that torch.load raises."""


class BoundedFile(io.FileIO):
    """A file with a bound on each read: zipfile would read a central directory of any length."""

    def read(self, size: int | None = -1) -> bytes:
        """Read at most MAX_DIRECTORY_BYTES."""
        wanted = MAX_DIRECTORY_BYTES if size is None or size < 0 else size
        return super().read(min(wanted, MAX_DIRECTORY_BYTES)) or b""


def inspect_torch_file(path: Path) -> Any:
    """Return the content of a file of torch.save, each tensor as `DeclaredTensor`, unloaded.

    Raises:
        CheckpointError: It is damaged, or does anything that a file of weights does not need.
    """
    try:
        check_regular_file(path)
        with BoundedFile(path) as file, zipfile.ZipFile(file) as archive:
            members = _list_members(archive, path.stat().st_size)
            if members["data.pkl"].file_size > MAX_PICKLE_BYTES:
                raise RefusedError("its pickle is too long")
            contents, storages = parse_pickle(archive.read(members["data.pkl"]))
    except RefusedError as error:
        raise CheckpointError(f"{path} is refused: {error}", "Nothing in it was executed.") from (
            error
        )
    except KeyError as error:
        raise CheckpointError(f"{path} is not a PyTorch file: it has no data.pkl") from error
    except ZIP_ERRORS as error:
        raise CheckpointError(f"{path} is damaged: {truncate(error)}") from error
    for storage in storages:
        member = members.get(f"data/{storage.key}")
        if member is None or member.file_size != storage.count * storage.itemsize:
            raise CheckpointError(f"{path} is damaged: a tensor is incomplete")
    return contents


def _list_members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members by their paths inside the archive's top folder.

    Raises:
        RefusedError: They are compressed, encrypted, larger than the file, or duplicate.
    """
    entries = archive.infolist()
    folders = {entry.filename.partition("/")[0] for entry in entries}
    members = {entry.filename.partition("/")[2]: entry for entry in entries}
    if len(folders) != 1 or len(members) < len(entries):
        raise RefusedError("torch.save does not write such an archive")
    for entry in entries:
        stored = entry.compress_type == zipfile.ZIP_STORED
        if not stored or entry.flag_bits & 1 or entry.file_size != entry.compress_size:
            raise RefusedError("its archive is compressed, which torch.save never does")
    if sum(entry.file_size for entry in entries) > size:
        raise RefusedError("its archive declares more than the file holds")
    return members


def parse_state_dict(table: Any, what: str) -> dict[str, DeclaredTensor]:
    """Return a state dict of a file.

    Raises:
        CheckpointError: It is not a dictionary of tensors by name.
    """
    if not isinstance(table, dict) or not table:
        raise CheckpointError(f"{what} holds no weights")
    for name, value in table.items():
        if not isinstance(name, str) or not isinstance(value, DeclaredTensor):
            raise CheckpointError(f"{what} is not a state dict: {truncate(name)} is not a tensor")
    return table


def describe_tensors(table: dict[str, DeclaredTensor]) -> TensorSpecs:
    """Return the specs of declared tensors."""
    return {name: (tensor.shape, tensor.storage.kind) for name, tensor in table.items()}


def load_torch_file(path: Path) -> Any:
    """Load a file that `inspect_torch_file` accepted; its tensors are memory-mapped if possible.

    Raises:
        CheckpointError: It cannot be loaded.
    """
    try:
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "unable to mmap" not in str(error):
                raise
            return torch.load(path, map_location="cpu", weights_only=True)
    except LOAD_ERRORS as error:
        raise CheckpointError(
            f"{path} cannot be read: {truncate(error).splitlines()[0]}"
        ) from error


def select(table: dict[str, T], names: dict[str, str]) -> dict[str, T]:
    """Return the tensors of a state dict under our names.

    Args:
        table: The state dict, declared or loaded.
        names: The file's name of each tensor by our name.
    """
    return {ours: table[theirs] for ours, theirs in names.items()}
