"""Built-in sets: read where torchvision puts them, and clear words where they cannot be got."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import urllib.error
from pathlib import Path

import numpy as np
import pytest

from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.builtin import _DATASETS, BUILTIN_NAMES
from iddm_cli.data.sources.registry import open_source
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings

SIZE = (16, 24)
RAW = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def write_idx(folder: Path, count: int = 30) -> np.ndarray:
    """Write the four files of an MNIST where torchvision puts them; it checks only their names."""
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    images = struct.pack(">IIII", 2051, count, 28, 28) + pixels.tobytes()
    labels = struct.pack(">II", 2049, count) + bytes(i % 10 for i in range(count))
    for name, content in zip(RAW, (images, labels, images, labels), strict=True):
        (folder / f"{name}-ubyte").write_bytes(content)
    return pixels


def test_fashion_mnist(cache_dir: Path) -> None:
    pixels = write_idx(cache_dir / "datasets" / "FashionMNIST" / "raw")
    source = open_source("fashion-mnist", size=SIZE)
    assert (source.name, len(source)) == ("fashion-mnist", 30)
    assert source.classes[0] == "T-shirt-top"
    assert len(source.classes) == 10
    assert list(source.labels) == [i % 10 for i in range(30)]
    assert all(type(label) is int for label in source.labels)
    assert (np.asarray(source.image(7).open().image) == pixels[7]).all()
    assert source.item_name(7) == "fashion-mnist/00007"
    assert source.stored_bytes() == 30 * 28 * 28


def test_fingerprint_of_a_built_in_set(cache_dir: Path) -> None:
    write_idx(cache_dir / "datasets" / "FashionMNIST" / "raw")
    first = open_source("fashion-mnist", size=SIZE).fingerprint()
    assert open_source("fashion-mnist", size=SIZE).fingerprint() == first
    file = cache_dir / "datasets" / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert open_source("fashion-mnist", size=SIZE).fingerprint() != first
    write_idx(cache_dir / "datasets" / "MNIST" / "raw")
    assert open_source("mnist", size=SIZE).fingerprint() != first


def test_files_put_there_by_hand(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint of a failed download says which files go where; so must it be."""
    from torchvision import datasets

    folder = cache_dir / "datasets" / "MNIST" / "raw"
    write_idx(folder)
    sums = []
    for name in RAW:
        packed = gzip.compress((folder / f"{name}-ubyte").read_bytes())
        (folder / f"{name}-ubyte").unlink()
        (folder / f"{name}-ubyte.gz").write_bytes(packed)
        sums.append((f"{name}-ubyte.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(datasets.MNIST, "resources", sums)
    forbid_downloads(monkeypatch)
    assert len(open_source("mnist", size=SIZE)) == 30


def test_a_cifar10_archive_where_it_would_be_downloaded_to(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive as its authors pack it: pickles in a tar, planes of red, green and blue."""
    from torchvision import datasets

    names = ["airplane", "automobile", "bird"]
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    files = {
        "data_batch_1": {"data": planes.reshape(6, -1), "labels": [0, 1, 2, 0, 1, 2]},
        "batches.meta": {"label_names": names},
    }
    packed = {name: pickle.dumps(content) for name, content in files.items()}
    sums = {name: hashlib.md5(content).hexdigest() for name, content in packed.items()}
    folder = cache_dir / "datasets"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as archive:
        for name, content in packed.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    whole = hashlib.md5((folder / "cifar-10-python.tar.gz").read_bytes()).hexdigest()
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", whole)
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["data_batch_1", sums["data_batch_1"]]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [])
    meta = datasets.CIFAR10.meta | {"md5": sums["batches.meta"]}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    forbid_downloads(monkeypatch)
    source = open_source("cifar10", size=SIZE)
    assert (source.classes, source.labels) == (tuple(names), [0, 1, 2, 0, 1, 2])
    assert (np.asarray(source.image(4).open().image) == planes[4].transpose(1, 2, 0)).all()
    made = build_pack(source, DataSettings(image_size=32, workers=1, held_out=0))
    assert made.channels == 3
    assert made.images_path.read_bytes() == planes.tobytes()


def forbid_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Temporary failure in name resolution")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.mark.parametrize("name", BUILTIN_NAMES)
def test_no_network(name: str, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_downloads(monkeypatch)
    with pytest.raises(DatasetError, match="Temporary failure in name resolution") as caught:
        open_source(name, size=SIZE)
    assert _DATASETS[name].url in caught.value.problem
    assert str(cache_dir / "datasets") in caught.value.hint
    assert all(file in caught.value.hint for file in _DATASETS[name].files)
    assert "\n" not in caught.value.problem


@pytest.mark.parametrize("name", BUILTIN_NAMES)
def test_places_told_to_the_user_are_those_of_torchvision(name: str, tmp_path: Path) -> None:
    from torchvision import datasets

    described = _DATASETS[name]
    loader = getattr(datasets, described.class_name)
    if issubclass(loader, datasets.MNIST):
        assert [file for file, _ in loader.resources] == list(described.files)
        assert described.url in loader.mirrors
        blank = loader.__new__(loader)
        blank.root = str(tmp_path)
        assert Path(blank.raw_folder) == tmp_path / described.folder
    elif name == "svhn":
        url, file, _ = loader.split_list["train"]
        assert (url, file) == (described.url + file, described.files[0])
    else:
        assert (loader.url, loader.filename) == (
            described.url + described.files[0],
            described.files[0],
        )


def test_damaged_files_of_an_earlier_download(cache_dir: Path) -> None:
    folder = cache_dir / "datasets" / "MNIST" / "raw"
    write_idx(folder)
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DatasetError, match="mnist could not be downloaded") as caught:
        open_source("mnist", size=SIZE)
    assert "Remove files of an earlier attempt" in caught.value.hint


def test_a_cache_that_cannot_be_written(cache_dir: Path) -> None:
    cache_dir.write_text("a file is in the way")
    with pytest.raises(DatasetError, match="cannot be written") as caught:
        open_source("mnist", size=SIZE)
    assert "IDDM_CACHE_DIR" in caught.value.hint
