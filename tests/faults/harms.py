"""Harm that is done to checkpoints: by a disk that rots, by chance, and by somebody."""

import contextlib
import hashlib
import json
import os
import pickle
import random
import shutil
import struct
import time
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import torch
from safetensors.torch import save

from iddm_cli.checkpoints.state_file import sign_state

PAGE = 4096
PARTS = ("model", "average", "optimizer")
FILES = (*(f"{part}.safetensors" for part in PARTS), "state.json")
FORBIDDEN = Path("/tmp/iddm-code-was-run")


class Runs:
    """What runs code when it is unpickled."""

    def __reduce__(self) -> tuple:
        return Path.touch, (FORBIDDEN,)


def zipped(content: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return buffer.getvalue()


def as_safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """Return a file with this header, be it text or what becomes JSON, and this length of it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(begin: int, end: int, shape: tuple = (1,), kind: str = "F32") -> dict:
    return {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}


HOSTILE_FILES = {
    "a pickle": pickle.dumps(Runs()),
    "a pickle in a zip": zipped(pickle.dumps(Runs())),
    "nothing": b"",
    "zeros": bytes(PAGE),
    "a header of 2^63 bytes": as_safetensors({}, length=2**63),
    "a header of 2^64 - 1 bytes": as_safetensors({}, length=2**64 - 1),
    "a header of no bytes": as_safetensors({}, length=0),
    "a header beyond the end": as_safetensors({}, length=10**6),
    "a header that is a list": as_safetensors([]),
    "a header that is no text": as_safetensors(b"\xff\xfe{}"),
    "tensors that overlap": as_safetensors({"a": entry(0, 4), "b": entry(0, 4)}, bytes(4)),
    "tensors with a gap": as_safetensors({"a": entry(0, 4), "b": entry(8, 12)}, bytes(12)),
    "a tensor beyond the end": as_safetensors({"a": entry(0, 400, (100,))}, bytes(4)),
    "a tensor before the beginning": as_safetensors({"a": entry(-4, 0)}, bytes(4)),
    "a tensor that ends before it begins": as_safetensors({"a": entry(4, 0)}, bytes(4)),
    "a tensor of 2^64 numbers": as_safetensors({"a": entry(0, 4, (2**32, 2**32))}, bytes(4)),
    "a tensor of no numbers": as_safetensors({"a": entry(0, 0, (2**40, 0, 2**40))}),
    "a tensor of no known type": as_safetensors({"a": entry(0, 4, kind="X")}, bytes(4)),
    "a tensor of half bytes": as_safetensors({"a": entry(0, 1, (2,), "F4")}, bytes(1)),
    "a shape that is text": as_safetensors({"a": entry(0, 4, ("1",))}, bytes(4)),
    "the same key twice": as_safetensors(
        f'{{"a": {json.dumps(entry(0, 4))}, "a": {json.dumps(entry(4, 8))}}}'.encode(),
        bytes(8),
    ),
    "deep nesting": as_safetensors(b'{"a":' * 100_000),
    "deep lists": as_safetensors(b"[" * 100_000),
    "a name without end": as_safetensors({"x" * 10_000: entry(0, 4)}, bytes(4)),
    "names that ring": as_safetensors({"\a\x1b[31m\n": entry(0, 4)}, bytes(4)),
    "leftover bytes": as_safetensors({"a": entry(0, 4)}, bytes(9)),
}  # fmt: skip


def many_keys(count: int) -> bytes:
    """Return a file that is all header."""
    row = '"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    return as_safetensors(f"{{{','.join(row % number for number in range(count))}}}".encode())


def template(step: int) -> dict:
    """Return tensors large enough to have pages."""
    generator = torch.Generator().manual_seed(step)
    return {
        part: {"w": torch.randn(40, 80, generator=generator), "b.step": torch.tensor(float(step))}
        for part in PARTS
    }


def forge(checkpoint: Path, part: str, content: bytes) -> None:
    """Replace a part, and vouch for it."""
    (checkpoint / f"{part}.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()

    def vouch(document: dict) -> None:
        document["files"][f"{part}.safetensors"] = {"bytes": len(content), "sha256": digest}

    edit(checkpoint, vouch)


def forge_tensors(checkpoint: Path, part: str, tensors: dict) -> None:
    forge(checkpoint, part, save(tensors))


def edit(checkpoint: Path, change: Callable[[dict], object]) -> None:
    """Change a state.json, and sign it."""
    path = checkpoint / "state.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(sign_state(document)))


# What follows harms one file, knowing the same file of an older checkpoint.

Harm = Callable[[Path, Path, random.Random], None]


def flip(path: Path, older: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def flip_in_the_header(path: Path, older: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[dice.randrange(200)] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def cut(path: Path, older: Path, dice: random.Random) -> None:
    os.truncate(path, dice.randrange(path.stat().st_size))


def lose_a_page(path: Path, older: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    begin = dice.randrange(0, len(content), PAGE)
    lost = content[begin : begin + PAGE]
    content[begin : begin + PAGE] = bytes(len(lost))
    path.write_bytes(content)


def delete(path: Path, older: Path, dice: random.Random) -> None:
    path.unlink()


def swap(path: Path, older: Path, dice: random.Random) -> None:
    shutil.copyfile(older, path)


def append(path: Path, older: Path, dice: random.Random) -> None:
    with path.open("ab") as handle:
        handle.write(b"x" + dice.randbytes(dice.randrange(2 * PAGE)))


def replace(path: Path, older: Path, dice: random.Random) -> None:
    path.write_bytes(dice.choice(list(HOSTILE_FILES.values())))


def make_a_folder(path: Path, older: Path, dice: random.Random) -> None:
    path.unlink()
    path.mkdir()


def make_a_pipe(path: Path, older: Path, dice: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def link_to_zeros(path: Path, older: Path, dice: random.Random) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def link_to_itself(path: Path, older: Path, dice: random.Random) -> None:
    path.unlink()
    path.symlink_to(path.name)


HARMS: list[Harm] = [
    *[flip, flip_in_the_header, cut] * 4,
    *[lose_a_page, swap, append, replace] * 2,
    delete,
    make_a_folder,
    make_a_pipe,
    link_to_zeros,
    link_to_itself,
]


@contextlib.contextmanager
def bounds(*, mebibytes: int = 64, seconds: float = 10) -> Iterator[None]:
    """Hold what is done to so much more memory, and time."""
    before, begun = _restarted_peak(), time.monotonic()
    try:
        yield
    finally:  # a refusal is held to it as well
        assert time.monotonic() - begun < seconds
        assert _memory("VmHWM") - before < mebibytes * 2**20


def _restarted_peak() -> int:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmHWM")


def _memory(name: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
