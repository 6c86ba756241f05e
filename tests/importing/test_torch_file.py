"""Files that mean harm: nothing is executed, nothing grows, and the refusal is one sentence."""

import io
import os
import pickle
import re
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iddm_cli.build.importing import import_model
from iddm_cli.errors import CheckpointError, IddmError
from iddm_cli.importing.imported_model import ImportOptions
from tests.hostile.conftest import check_refusal, fuzzed

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


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
@pytest.mark.parametrize("inside", ["alone", "as a tensor", "as an attribute"])
@pytest.mark.parametrize("wrapped", [True, False], ids=["in a zip", "bare"])
def test_a_pickle_that_would_run_something_runs_nothing(tmp_path, protocol, inside, wrapped):
    mark = tmp_path / "mark"
    call = Call(os.system, f"touch {mark}")
    thing = {"alone": call, "as a tensor": {"outc.bias": call}, "as an attribute": {"act": call}}
    content = pickle.dumps(thing[inside], protocol)
    path = tmp_path / "model.pt"
    if wrapped:
        assert "is refused: it" in refused(archive(path, content)).problem
    else:
        path.write_bytes(content)
        refused(path)
    assert not mark.exists()
    pickle.loads(content)
    assert mark.exists(), "it would have"


@pytest.mark.parametrize(
    "call",
    [
        Call(bytearray, 10**10),
        Call(eval, "print('x')"),
        Call(exec, "raise SystemExit"),
        Call(torch.zeros, 10**10),
        Call(getattr, "", "x"),
    ],
    ids=["bytearray", "eval", "exec", "zeros", "getattr"],
)
def test_functions_that_weights_do_not_need_are_never_called(tmp_path, call):
    path = archive(tmp_path / "model.pt", pickle.dumps({"model": call}, 2))
    assert "which is no part of weights" in refused(path).problem


@pytest.mark.parametrize(
    ("shape", "strides", "count", "offset"),
    [
        (one(10**10), one(0), 1, 0),
        (one(10**10), one(1), 10**10, 0),
        (one(2), one(1), 1, 0),
        (one(1), one(1), 1, 1),
        (one(1), one(1), 1, -1),
        (one(-1), one(1), 1, 0),
        (one(1), one(1), -1, 0),
        (one(1), ")", 1, 0),
        (one(10**400), one(10**400), 1, 0),
    ],
    ids=["stride 0", "huge", "short", "behind", "before", "negative", "negative storage", "ragged",
         "beyond numbers"],
)  # fmt: skip
def test_a_tensor_has_no_more_numbers_than_are_stored(tmp_path, shape, strides, count, offset):
    content = declared(shape, strides, count=count, offset=offset)
    path = archive(tmp_path / "model.pt", content, numbers=b"\0" * 4)
    assert path.stat().st_size < 1500
    assert "does not fit" not in refused(path).problem, "refused before it is held against any"


def test_the_archive_of_these_tests_is_read_where_it_is_sound(tmp_path):
    content = declared(one(1), one(1), count=1)
    path = archive(tmp_path / "model.pt", content, numbers=b"\0" * 4)
    assert torch.load(path, weights_only=True) == {"a": torch.zeros(1)}
    assert "unexpected: a" in refused(path).problem


def test_a_compressed_archive_is_not_unpacked(tmp_path):
    numbers = b"\0" * (4 * 2**26)
    content = declared(one(2**26), one(1), count=2**26)
    path = archive(tmp_path / "model.pt", content, numbers=numbers, stored=False)
    del numbers
    assert path.stat().st_size < 10**6
    assert "compressed" in refused(path).problem


def test_an_archive_cannot_declare_one_stretch_many_times(tmp_path):
    path = archive(tmp_path / "model.pt", declared(one(1), one(1), count=1), numbers=b"\0" * 2**16)
    with zipfile.ZipFile(path, "a") as file:
        real = file.getinfo("x/data/0")
        for number in range(1, 200):
            entry = zipfile.ZipInfo(f"x/data/{number}")
            entry.header_offset, entry.file_size = real.header_offset, real.file_size
            entry.compress_size, entry.CRC = real.file_size, real.CRC
            file.filelist.append(entry)
            file.NameToInfo[entry.filename] = entry
        file._didModify = True
    assert "declares more than the file holds" in refused(path).problem


def test_a_member_that_is_there_twice_is_refused(tmp_path):
    path = archive(tmp_path / "model.pt", declared(one(1), one(1), count=1), numbers=b"\0" * 4)
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("x/data.pkl", pickle.dumps(7, 2))
    assert "no archive that torch.save would write" in refused(path).problem


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x80\x02r\xff\xff\xff\x7f.", "malformed"),
        (b"\x80\x02N" + b"r\xff\xff\xff\x7f" + b".", "no dictionary"),
        (b"\x80\x02" + b"}" * 2**20 + b".", "far too long"),
        (b"\x80\x02" + b"(" * 2**16 + b"t" * 2**16 + b".", "no dictionary"),
        (b"\x80\x02}" + b"(" * 2**16 + b"t" * 2**16 + b"Ns.", "keys"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f1.", "LONG4|malformed"),
        (b"\x80\x02X\xff\xff\xff\x7fa.", "malformed"),
        (b"\x80\x02ccollections\nOrderedDict\n(]tR.", "unusual way"),
        (b"\x80\x02N", "malformed|no end"),
        (b"", "malformed|no end"),
        (b".", "malformed"),
        (b"\xff" * 40, "malformed"),
        (b"\x80\x02" + b"N" * (2**23 + 1) + b".", "far too long"),
    ],
    ids=["memo of nothing", "memo far away", "many", "deep", "deep key", "long number", "long text",
         "filled", "cut", "empty", "stop", "noise", "large"],
)  # fmt: skip
def test_a_pickle_cannot_fill_the_memory_or_overrun_it(tmp_path, content, said):
    assert re.search(said, refused(archive(tmp_path / "model.pt", content)).problem)


@pytest.mark.parametrize("key", ["network", "mode", "act", "image_size", "classes_name"])
def test_a_list_that_is_endless_when_it_is_told_is_not_told(tmp_path, key):
    endless = ("x",)
    for _ in range(60):
        endless = (endless, endless)
    path = archive(tmp_path / "model.pt", pickle.dumps({"model": {}, key: endless}, 2))
    assert path.stat().st_size < 1500
    assert f"{key} is neither a number nor a text" in refused(path).problem


def test_a_directory_of_any_length_is_not_read(tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/data.pkl", b"N.")
        for number in range(60_000):
            entry = zipfile.ZipInfo(f"x/{number}" + "-" * 2000)
            entry.header_offset = entry.CRC = 0
            file.filelist.append(entry)
        file._didModify = True
    assert path.stat().st_size > 100 * 2**20
    refused(path)
    path.unlink()


def small_file() -> bytes:
    buffer = io.BytesIO()
    state = {"outc.bias": torch.zeros(3), "inc": torch.ones(2, 2)}
    torch.save({"model": state, "ema_model": None, "image_size": [8, 8], "act": "gelu"}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_refused(tmp_path, share):
    content = small_file()
    path = tmp_path / "model.pt"
    path.write_bytes(content[: int(share * len(content))])
    refused(path)


@fuzzed
@given(data=st.data())
def test_no_change_of_a_file_does_more_than_be_refused(tmp_path_factory, data):
    content = bytearray(small_file())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "model.pt"
    path.write_bytes(bytes(content))
    with pytest.raises(IddmError):
        import_model(path, ImportOptions(image_size=8))


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "folder.pt").mkdir()
    for name in ("pipe.pt", "folder.pt", "missing.pt"):
        refused(tmp_path / name)
    refused(Path("/dev/zero"))


def test_an_old_file_is_told_what_to_do(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"a": torch.zeros(1)}, path, _use_new_zipfile_serialization=False)
    assert "save it with a newer one" in refused(path).hint


def test_nothing_but_the_safe_reader_is_ever_used(tmp_path, monkeypatch):
    asked = []
    real = torch.load

    def load(*args, **kwargs):
        asked.append(kwargs["weights_only"])
        if len(asked) == 1:
            raise pickle.UnpicklingError("Weights only load failed")
        return real(*args, **kwargs)

    from tests.importing.upstream import weights

    torch.save(weights(), tmp_path / "model.pt")
    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(CheckpointError, match="cannot be read"):
        import_model(tmp_path / "model.pt", ImportOptions(image_size=8))
    assert asked == [True]
