"""Built-in sets: what torchvision knows how to download, under the names this program gives them.

torchvision, and torch with it, is imported only where a set is opened.
"""

import hashlib
import http.client
import pickle
import socket
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from iddm_cli.data.cache import cache_error, cache_folder
from iddm_cli.data.decoding.images import DecodedImage
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources.source import SourceOptions
from iddm_cli.errors import DatasetError

PATIENCE_SECONDS = 30.0

# What a failed or cut-off download, or a damaged file of an earlier one, was seen to raise.
_FAILURES = (
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
class _Set:
    """How torchvision names a set, and where its files come from and go to."""

    loader: str
    home: str
    files: tuple[str, ...]
    folder: str = ""
    part: dict[str, Any] = field(default_factory=lambda: {"train": True})


def _mnist(loader: str, home: str) -> _Set:
    kinds = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return _Set(loader, home, tuple(f"{kind}-ubyte.gz" for kind in kinds), f"{loader}/raw")


_SETS = {
    "cifar10": _Set("CIFAR10", "https://www.cs.toronto.edu/~kriz/", ("cifar-10-python.tar.gz",)),
    "cifar100": _Set("CIFAR100", "https://www.cs.toronto.edu/~kriz/", ("cifar-100-python.tar.gz",)),
    "mnist": _mnist("MNIST", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
    "fashion-mnist": _mnist(
        "FashionMNIST", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    ),
    "kmnist": _mnist("KMNIST", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
    "svhn": _Set(
        "SVHN",
        "http://ufldl.stanford.edu/housenumbers/",
        ("train_32x32.mat",),
        part={"split": "train"},
    ),
    "stl10": _Set(
        "STL10",
        "http://ai.stanford.edu/~acoates/stl10/",
        ("stl10_binary.tar.gz",),
        part={"split": "train"},
    ),
}

BUILTIN_NAMES = tuple(_SETS)


@dataclass(frozen=True)
class ArrayImage:
    """A picture that is in memory already."""

    image: Image.Image

    def open(self, min_side: int = 0) -> DecodedImage:  # noqa: ARG002 (there is nothing to save)
        """Return it."""
        return DecodedImage(self.image, self.image.width, self.image.height, animated=False)


class BuiltinSource:
    """The training part of a torchvision set."""

    def __init__(self, name: str, dataset: Any) -> None:
        self.name = name
        self._dataset = dataset
        numbers = dataset.targets if hasattr(dataset, "targets") else dataset.labels
        self.labels: list[int] = np.asarray(numbers).tolist()
        self.classes = _class_names(dataset)
        self.skipped: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.location = ""

    def __len__(self) -> int:
        return len(self._dataset)

    def item_name(self, i: int) -> str:
        """Name one picture."""
        return f"{self.name}/{i:05d}"

    def image(self, i: int) -> ArrayImage:
        """Return one picture."""
        return ArrayImage(self._dataset[i][0])

    def stored_bytes(self) -> int:
        """Return the size of the pixels, which lie together in a few files."""
        return int(np.asarray(self._dataset.data).nbytes)

    def fingerprint(self, progress: ProgressCallback = no_progress) -> str:
        """Digest the name and all pixels and labels; the arrays are in memory anyway."""
        digest = hashlib.sha256(f"builtin {self.name} {self.labels}".encode())
        digest.update(np.ascontiguousarray(self._dataset.data).data)
        progress("checking files", 1, 1)
        return digest.hexdigest()


def _class_names(dataset: Any) -> tuple[str, ...]:
    """Return torchvision's class names, made fit for folders: T-shirt/top is T-shirt-top."""
    if hasattr(dataset, "classes"):
        return tuple(name.replace("/", "-") for name in dataset.classes)
    return tuple(str(digit) for digit in range(10))  # SVHN, house numbers


def open_builtin(name: str, options: SourceOptions) -> BuiltinSource:  # noqa: ARG001 (one name)
    """Open a set by name, downloading it where it is not in the cache yet.

    Raises:
        DatasetError: It cannot be downloaded or read, or the cache cannot be written.
    """
    folder = cache_folder() / "datasets"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cache_error(error, folder) from error
    with _patience(PATIENCE_SECONDS):
        return BuiltinSource(name, _load(name, folder))


def _load(name: str, folder: Path) -> Any:
    described = _SETS[name]
    try:
        from torchvision import datasets  # type: ignore[import-untyped]

        loader = getattr(datasets, described.loader)
        return loader(folder, download=True, **described.part)
    except ImportError as error:
        raise DatasetError(
            f"{name} needs the package {error.name}, which is not installed.",
            f"Install it: pip install {error.name}",
        ) from error
    except _FAILURES as error:
        raise _no_download(described, name, folder, error) from error


def _no_download(described: _Set, name: str, folder: Path, error: Exception) -> DatasetError:
    """Say what was tried, and where the files can be put by hand."""
    place = folder / described.folder
    reason = " ".join(str(error).split()) or type(error).__name__
    return DatasetError(
        f"{name} could not be downloaded from {described.home} or read: {reason}",
        f"Without a network, put {', '.join(described.files)} into {place}, or set data.path to a "
        f"folder of pictures or to demo. If files of an earlier try lie there, remove them.",
    )


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Let no connection hang for ever behind a silent firewall; torchvision sets no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
