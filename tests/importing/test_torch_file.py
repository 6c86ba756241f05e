"""Files that mean harm: nothing is executed, nothing grows, and the refusal is one sentence."""

import io
import pickle
import zipfile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iddm_cli.build.importing import import_model
from iddm_cli.errors import CheckpointError, IddmError
from iddm_cli.importing.options import ImportOptions
from iddm_cli.importing.torch_file import load_torch_file
from tests.hostile.conftest import fuzzed
from tests.importing.hostile_files import archive, declared, one, refused


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
    assert "torch.save does not write such an archive" in refused(path).problem


@pytest.mark.parametrize("key", ["network", "mode", "act", "image_size", "classes_name"])
def test_a_list_that_is_endless_when_printed_is_refused(tmp_path, key):
    endless = ("x",)
    for _ in range(60):
        endless = (endless, endless)
    path = archive(tmp_path / "model.pt", pickle.dumps({"model": {}, key: endless}, 2))
    assert path.stat().st_size < 1500
    assert f"{key} is not a number, a string" in refused(path).problem


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


def test_a_file_that_cannot_be_mapped_is_read(tmp_path, monkeypatch):
    real = torch.load

    def load(*args, mmap=False, **kwargs):
        if mmap:
            raise RuntimeError("unable to mmap 9 bytes from file <x>: No such device (19)")
        return real(*args, **kwargs)

    torch.save({"a": torch.ones(2)}, tmp_path / "model.pt")
    monkeypatch.setattr(torch, "load", load)
    assert torch.equal(load_torch_file(tmp_path / "model.pt")["a"], torch.ones(2))
