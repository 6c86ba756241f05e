"""Whether tensors from a file fit those that they are read for, before they are read."""

from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from iddm_cli.errors import CheckpointError

TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}
"""What safetensors and torch call the same types."""

LONGEST_TOLD = 100

HEADER_BYTES = 2**16
HEADER_BYTES_EACH = 2**10
"""No header that we write is longer, for each of its tensors."""

Tensors = dict[str, Tensor]
Kinds = dict[str, tuple[list[int], str]]
"""The shape and type of each tensor, by its name."""


def kinds_of(tensors: Tensors) -> Kinds:
    """Describe some tensors."""
    return {
        name: (list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in tensors.items()
    }


def kinds_in(path: Path) -> Kinds:
    """Describe the tensors of a file, of which only the header is read.

    Raises:
        SafetensorError: It is no such file.
    """
    with safe_open(path, framework="pt") as handle:
        slices = {name: handle.get_slice(name) for name in handle.keys()}  # noqa: SIM118
        return {
            name: (list(part.get_shape()), TYPES.get(part.get_dtype(), part.get_dtype()))
            for name, part in slices.items()
        }


def refuse_long_header(path: Path, tensors: int) -> None:
    """Refuse a header that is far too long for so many tensors, since it would fill the memory.

    Raises:
        CheckpointError: It is.
        OSError: The file cannot be read.
    """
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
    if length > HEADER_BYTES + HEADER_BYTES_EACH * tensors:
        raise CheckpointError(f"{path} is damaged: it says that its header has {length:,} bytes")


HINT = "The profile's model section must be the one it was trained with."


def check_fit(targets: Kinds, saved: Kinds, what: str, hint: str = HINT) -> None:
    """Hold saved tensors against those that they are to be copied into.

    Args:
        targets: What they are read for.
        saved: What there is.
        what: What it is called.
        hint: What to do where they do not fit.

    Raises:
        CheckpointError: A tensor is missing, unexpected, or of another shape or type.
    """
    missing = sorted(targets.keys() - saved.keys())
    unexpected = sorted(saved.keys() - targets.keys())
    common = sorted(targets.keys() & saved.keys())
    misshapen, mistyped = (
        [
            f"{first(name)} is {saved[name][i]}, should be {targets[name][i]}"
            for name in common
            if saved[name][i] != targets[name][i]
        ]
        for i in (0, 1)
    )
    told = [
        f"{word}: {', '.join(map(first, names[:3]))}{' ...' if len(names) > 3 else ''}"
        for word, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("wrong shape", misshapen),
            ("wrong type", mistyped),
        )
        if names
    ]
    if told:
        raise CheckpointError(
            f"{what} does not fit this network: {'; '.join(told)}",
            hint,
        )


def not_finite(tensors: Tensors) -> str | None:
    """Return the name of a tensor that holds a number that is not finite, or None."""
    found = (name for name, tensor in tensors.items() if not bool(tensor.isfinite().all()))
    return next(found, None)


def first(thing: object) -> str:
    """Return the beginning of what may be long: an error's text, a name somebody has forged."""
    text = str(thing)
    return text if len(text) <= LONGEST_TOLD else f"{text[:LONGEST_TOLD]}..."
