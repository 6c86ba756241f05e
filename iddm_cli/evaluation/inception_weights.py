"""The weights of Inception v3 that torch-fidelity measures with: found, downloaded and verified.

They are downloaded once, to where torch-fidelity itself looks for them. torch-fidelity unpickles
whatever it is given; so the file is read here, as tensors alone, and handed on written anew.
"""

import hashlib
import io
import pickle
import warnings
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor

from iddm_cli.errors import IddmError, first_line
from iddm_cli.machine.network import limit_silence

DOWNLOAD_TIMEOUT = 20.0
"""Seconds without an answer after which a download is given up."""

LAST_WEIGHT = "fc.weight"
LAST_SHAPE = (1008, 2048)
"""Other versions of Inception v3, such as torchvision's, have 1,000 outputs."""


@dataclass(frozen=True)
class InceptionWeights:
    """The weights of Inception v3, verified.

    Attributes:
        tensors: The state dict.
        is_original: Whether the file is the one that torch-fidelity publishes.
    """

    tensors: dict[str, Tensor]
    is_original: bool

    def to_file(self) -> io.BytesIO:
        """Return them as a file in memory, of tensors alone, which torch-fidelity can unpickle."""
        file = io.BytesIO()
        torch.save(self.tensors, file)
        file.seek(0)
        return file


def load_inception_weights(path: Path | None = None) -> InceptionWeights:
    """Return the weights of a file, or those that torch-fidelity publishes.

    Args:
        path: The file; None for the one in the cache of torch hub, downloaded if it is absent.

    Raises:
        IddmError: The file cannot be read or downloaded, or holds something else.
    """
    if path is None:
        path = default_weights_path()
        if not path.exists():
            _download(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IddmError(
            f"{path} cannot be read: {error.strerror}", "Choose another file of Inception weights."
        ) from error
    return InceptionWeights(_parse(content, path), _is_original(content))


def default_weights_path() -> Path:
    """Return where torch-fidelity looks for the weights."""
    return Path(torch.hub.get_dir()) / "checkpoints" / weights_url().rpartition("/")[2]


def weights_url() -> str:
    """Return where torch-fidelity publishes the weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return str(URL_INCEPTION_V3)


def _hash_prefix() -> str:
    """Return the first digits of the SHA-256 of the published file, which its name ends in."""
    return weights_url().rpartition("-")[2].partition(".")[0]


def _is_original(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest().startswith(_hash_prefix())


def _download(path: Path) -> None:
    """Download the weights, all or nothing.

    Raises:
        IddmError: It is not possible; says where to place the file by hand.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with limit_silence(DOWNLOAD_TIMEOUT):
            torch.hub.download_url_to_file(
                weights_url(), str(path), hash_prefix=_hash_prefix(), progress=False
            )
    except (OSError, RuntimeError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else first_line(error)
        raise IddmError(
            f"the weights of Inception cannot be downloaded from {weights_url()}: {reason}",
            f"Download that file with another program, and place it at {path}, or name it with "
            "--inception-weights.",
        ) from error


def _parse(content: bytes, path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file of weights.

    Raises:
        IddmError: It holds something else than weights of this Inception.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # What a damaged file, or one of another kind, makes of the parser.
    except (
        pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, LookupError,
        RuntimeError, TypeError, ValueError,
    ):  # fmt: skip
        tensors = None
    last = tensors.get(LAST_WEIGHT) if isinstance(tensors, dict) else None
    if not isinstance(last, Tensor) or tuple(last.shape) != LAST_SHAPE:
        raise IddmError(
            f"{path} does not hold the weights of Inception v3 that torch-fidelity uses",
            f"Use the file at {weights_url()}.",
        )
    return tensors
