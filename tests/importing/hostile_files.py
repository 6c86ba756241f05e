"""Hostile PyTorch files, and the check that they are refused cheaply."""

import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from iddm_cli.build.importing import import_model
from iddm_cli.errors import IddmError
from iddm_cli.importing.options import ImportOptions
from tests.hostile.conftest import check_refusal

MOST_GROWTH = 64 * 1024
"""Kilobytes."""


def memory(word: str) -> int:
    """Return a line of what Linux knows of this process, in kilobytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{word}:")[1].split()[0])


@contextmanager
def little_memory():
    """Hold the most memory at any moment against what there was at first."""
    if sys.platform != "linux":
        yield
        return
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark falls to the present
    before = memory("VmRSS")
    yield
    assert memory("VmHWM") - before < MOST_GROWTH


def refused(path: Path) -> IddmError:
    with little_memory(), pytest.raises(IddmError) as caught:
        import_model(path, ImportOptions(image_size=8))
    check_refusal(caught.value, code=4)
    assert "\n" not in caught.value.problem
    return caught.value


def archive(path: Path, pickled: bytes, *, numbers: bytes = b"", stored: bool = True) -> Path:
    """Write an archive such as torch.save's around any pickle."""
    kind = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w", kind) as file:
        file.writestr("x/data.pkl", pickled)
        file.writestr("x/byteorder", b"little")
        file.writestr("x/data/0", numbers)
        file.writestr("x/version", b"3\n")
    return path


class Call:
    """Pickled, it calls a function when it is read."""

    def __init__(self, function, *arguments):
        self.made = function, arguments

    def __reduce__(self):
        return self.made


def declared(shape: str, strides: str, *, count: int, offset: int = 0) -> bytes:
    """Return a pickle of a state dict of one tensor, as torch.save writes it."""
    storage = f"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuI{count}\ntQ"
    storage = storage.replace(f"I{count}\n", long(count))
    head = "\x80\x02}X\1\0\0\0ac" + "torch._utils\n_rebuild_tensor_v2\n("
    tail = f"{storage}{long(offset)}{shape}{strides}\x89ccollections\nOrderedDict\n)RtRs."
    return (head + tail).encode("latin-1")


def long(number: int) -> str:
    content = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return f"\x8a{chr(len(content))}" + content.decode("latin-1")


def one(number: int) -> str:
    """A tuple of one number, as a pickle writes it."""
    return f"{long(number)}\x85"
