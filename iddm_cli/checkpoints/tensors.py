"""Tensors in files: compared with those that they are read for, before any data is read."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.torch import load, load_file
from torch import Tensor

from iddm_cli.errors import CheckpointError
from iddm_cli.storage import features

TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}
"""torch's names of safetensors' types."""

MAX_SHOWN = 100
"""Characters shown of a name or message from a file."""

HEADER_BYTES = 2**16
HEADER_BYTES_EACH = 2**10
"""No header that iddm writes is longer than this, plus this much per tensor."""

Tensors = dict[str, Tensor]
Result = TypeVar("Result")
TensorSpecs = dict[str, tuple[list[int], str]]
"""The shape and type of each tensor, by its name."""


def specs_of(tensors: Tensors) -> TensorSpecs:
    """Return the specs of tensors."""
    return {
        name: (list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in tensors.items()
    }


def load_tensors(path: Path) -> Tensors:
    """Read all tensors of a file.

    Raises:
        SafetensorError: It is not a safetensors file.
        OSError: It cannot be read.
    """
    return _read_mapped(path, load_file, load)


def _read_mapped(
    path: Path, read: Callable[[Path], Result], parse: Callable[[bytes], Result]
) -> Result:
    """Read a file through a memory map; the whole of it where the file system has none."""
    try:
        return read(path)
    except (OSError, SafetensorError) as error:
        code = re.search(r"\(os error (\d+)\)", str(error))  # safetensors sets no errno
        if code is None or int(code[1]) not in features.NO_MAP:
            raise
    return parse(path.read_bytes())


def read_specs(path: Path) -> TensorSpecs:
    """Read the specs of a file's tensors, from its header alone.

    Raises:
        SafetensorError: It is not a safetensors file.
        OSError: It cannot be read.
    """
    return _read_mapped(path, _read_specs, _parse_specs)


def _parse_specs(content: bytes) -> TensorSpecs:
    return {
        name: (list(part["shape"]), TYPES.get(part["dtype"], part["dtype"]))
        for name, part in deserialize(content)  # type: ignore[no-untyped-call]
    }


def _read_specs(path: Path) -> TensorSpecs:
    with safe_open(path, framework="pt") as handle:
        slices = {name: handle.get_slice(name) for name in handle.keys()}  # noqa: SIM118
        return {
            name: (list(part.get_shape()), TYPES.get(part.get_dtype(), part.get_dtype()))
            for name, part in slices.items()
        }


def check_header_length(path: Path, tensors: int) -> None:
    """Check that a header is not far too long for its tensors; it would fill the memory.

    Raises:
        CheckpointError: It is too long.
        OSError: The file cannot be read.
    """
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
    if length > HEADER_BYTES + HEADER_BYTES_EACH * tensors:
        raise CheckpointError(f"{path} is damaged: its header claims {length:,} bytes")


def read_tensors(path: Path, like: Tensors | None, what: str, *, check_finite: bool) -> Tensors:
    """Read the tensors of a file; what can be checked is checked before any data is read.

    Args:
        path: The file.
        like: Tensors that it must match by name, shape and type; None: any.
        what: What messages call them.
        check_finite: Whether all numbers must be finite.

    Raises:
        CheckpointError: The file is missing or damaged, does not match, or holds numbers that are
            not finite.
    """
    try:
        if like is not None:
            check_header_length(path, len(like))
            check_compatible(specs_of(like), read_specs(path), what)
        tensors = load_tensors(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: {truncate(error)}") from error
    name = find_non_finite(tensors) if check_finite else None
    if name is not None:
        raise CheckpointError(f"{path}: {truncate(name)} holds numbers that are not finite")
    return tensors


HINT = "Use the model section of the profile that it was trained with."


def check_compatible(targets: TensorSpecs, saved: TensorSpecs, what: str, hint: str = HINT) -> None:
    """Check that saved tensors match those that they will be copied into.

    Args:
        targets: Specs of the targets.
        saved: Specs of the saved tensors.
        what: What messages call them.
        hint: What to do where they do not match.

    Raises:
        CheckpointError: A tensor is missing, unexpected, or of another shape or type.
    """
    missing = sorted(targets.keys() - saved.keys())
    unexpected = sorted(saved.keys() - targets.keys())
    common = sorted(targets.keys() & saved.keys())
    misshapen, mistyped = (
        [
            f"{truncate(name)} is {saved[name][i]}, should be {targets[name][i]}"
            for name in common
            if saved[name][i] != targets[name][i]
        ]
        for i in (0, 1)
    )
    problems = [
        f"{word}: {', '.join(map(truncate, names[:3]))}{' ...' if len(names) > 3 else ''}"
        for word, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("wrong shape", misshapen),
            ("wrong type", mistyped),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            f"{what} does not fit this network: {'; '.join(problems)}",
            hint,
        )


def find_non_finite(tensors: Tensors) -> str | None:
    """Return the name of a tensor with a number that is not finite, or None."""
    found = (name for name, tensor in tensors.items() if not bool(tensor.isfinite().all()))
    return next(found, None)


def truncate(value: object) -> str:
    """Return the beginning of a text that may be long, such as a forged name in a file."""
    text = str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def copy_to_cpu(tensors: Tensors) -> Tensors:
    """Return copies of tensors in CPU memory of their own, in the same memory format."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.preserve_format)
        for name, tensor in tensors.items()
    }
