"""Built-in datasets: well-known datasets that torchvision downloads.

torchvision, which imports torch, is imported only when a dataset is opened.
"""

import hashlib
import http.client
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from iddm_cli.data.cache import cache_error, cache_folder
from iddm_cli.data.decoding.images import DecodedImage, digest_bytes
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources.source import HeldOutPart, SourceOptions
from iddm_cli.errors import DatasetError
from iddm_cli.machine.network import limit_silence

TIMEOUT_SECONDS = 30.0

# What torchvision raises for a failed download, or a damaged file of an earlier one.
_LOAD_ERRORS = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    AssertionError,
    EOFError,
    LookupError,
    http.client.HTTPException,
    pickle.UnpicklingError,
    tarfile.TarError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class _TorchvisionDataset:
    """The class of a dataset in torchvision, and where its files come from and go to."""

    class_name: str
    url: str
    files: tuple[str, ...]
    folder: str = ""
    options: dict[str, Any] = field(default_factory=lambda: {"train": True})

    @property
    def has_test_part(self) -> bool:
        """Whether these files contain the test part as well."""
        return "train" in self.options


def _mnist(class_name: str, url: str) -> _TorchvisionDataset:
    kinds = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return _TorchvisionDataset(
        class_name, url, tuple(f"{kind}-ubyte.gz" for kind in kinds), f"{class_name}/raw"
    )


_DATASETS = {
    "cifar10": _TorchvisionDataset(
        "CIFAR10", "https://www.cs.toronto.edu/~kriz/", ("cifar-10-python.tar.gz",)
    ),
    "cifar100": _TorchvisionDataset(
        "CIFAR100", "https://www.cs.toronto.edu/~kriz/", ("cifar-100-python.tar.gz",)
    ),
    "mnist": _mnist("MNIST", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
    "fashion-mnist": _mnist(
        "FashionMNIST", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    ),
    "kmnist": _mnist("KMNIST", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
    "svhn": _TorchvisionDataset(
        "SVHN",
        "http://ufldl.stanford.edu/housenumbers/",
        ("train_32x32.mat",),
        options={"split": "train"},
    ),
    "stl10": _TorchvisionDataset(
        "STL10",
        "http://ai.stanford.edu/~acoates/stl10/",
        ("stl10_binary.tar.gz",),
        options={"split": "train"},
    ),
}

BUILTIN_NAMES = tuple(_DATASETS)


@dataclass(frozen=True)
class ArrayImage:
    """An image that is in memory already."""

    image: Image.Image

    def open(self, min_side: int = 0) -> DecodedImage:  # noqa: ARG002 (nothing is decoded)
        """Return the image."""
        width, height = self.image.size
        content = digest_bytes(b"%d %d " % (width, height) + self.image.tobytes())
        return DecodedImage(self.image, width, height, animated=False, content=content)


class BuiltinSource:
    """The training part of a torchvision dataset, or its test part.

    Args:
        name: Name of the dataset.
        dataset: The part in torchvision.
        load_test: Returns the test part, if the files contain it.
    """

    def __init__(self, name: str, dataset: Any, load_test: Callable[[], Any] | None = None) -> None:
        self.name = name
        self._load_test = load_test
        self._dataset = dataset
        labels = dataset.targets if hasattr(dataset, "targets") else dataset.labels
        self.labels: list[int] = np.asarray(labels).tolist()
        self.classes = _class_names(dataset)
        self.skipped: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.location = ""

    @property
    def held_out(self) -> HeldOutPart | None:
        """The test part, if the files contain it.

        Raises:
            DatasetError: It cannot be read.
        """
        if self._load_test is None:
            return None
        return HeldOutPart("test", BuiltinSource(f"{self.name}-test", self._load_test()))

    def __len__(self) -> int:
        return len(self._dataset)

    def item_name(self, i: int) -> str:
        """Return the name of image `i`."""
        return f"{self.name}/{i:05d}"

    def image(self, i: int) -> ArrayImage:
        """Return a handle of image `i`."""
        return ArrayImage(self._dataset[i][0])

    def stored_bytes(self) -> int:
        """Return the size of all pixels."""
        return int(np.asarray(self._dataset.data).nbytes)

    def fingerprint(self, progress: ProgressCallback = no_progress) -> str:
        """Digest the name, all pixels and all labels, which are in memory anyway."""
        digest = hashlib.sha256(f"builtin {self.name} {self.labels}".encode())
        digest.update(np.ascontiguousarray(self._dataset.data).data)
        progress("checking files", 1, 1)
        return digest.hexdigest()


def _class_names(dataset: Any) -> tuple[str, ...]:
    """Return torchvision's class names, valid as folder names: T-shirt/top is T-shirt-top."""
    if hasattr(dataset, "classes"):
        return tuple(name.replace("/", "-") for name in dataset.classes)
    return tuple(str(digit) for digit in range(10))  # SVHN: house numbers


def open_builtin(name: str, options: SourceOptions) -> BuiltinSource:  # noqa: ARG001 (one name)
    """Open a dataset by name; download it unless it is in the cache.

    Raises:
        DatasetError: It cannot be downloaded or read, or the cache cannot be written.
    """
    folder = cache_folder() / "datasets"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cache_error(error, folder) from error
    load_test = partial(_load_dataset, name, folder, {"train": False})
    has_test_part = _DATASETS[name].has_test_part
    return BuiltinSource(name, _load_dataset(name, folder), load_test if has_test_part else None)


def _load_dataset(name: str, folder: Path, options: Mapping[str, Any] | None = None) -> Any:
    """Return a part of a dataset: the training part, unless other options are given."""
    entry = _DATASETS[name]
    try:
        from torchvision import datasets  # type: ignore[import-untyped]

        dataset_class = getattr(datasets, entry.class_name)
        with limit_silence(TIMEOUT_SECONDS):
            return dataset_class(folder, download=True, **(options or entry.options))
    except ImportError as error:
        raise DatasetError(
            f"{name} needs the package {error.name}, which is not installed",
            f"Install it: pip install {error.name}",
        ) from error
    except _LOAD_ERRORS as error:
        raise _load_failed(entry, name, folder, error) from error


def _load_failed(
    entry: _TorchvisionDataset, name: str, folder: Path, error: Exception
) -> DatasetError:
    """Return an error that explains how to provide the files by hand."""
    destination = folder / entry.folder
    reason = " ".join(str(error).split()) or type(error).__name__
    return DatasetError(
        f"{name} could not be downloaded from {entry.url} or read: {reason}",
        f"Without a network, put {', '.join(entry.files)} into {destination}, or set data.path "
        "to a folder of images or to demo. Remove files of an earlier attempt from there.",
    )
