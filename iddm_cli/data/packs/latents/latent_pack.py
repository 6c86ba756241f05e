"""The latents of a pack: one file in its folder for each encoder, removed together with it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from iddm_cli import durable
from iddm_cli.data.cache import cache_error, lock_path
from iddm_cli.data.progress import ProgressCallback
from iddm_cli.records.latent_scale import LatentScale
from iddm_cli.storage.file_locks import hold_or_wait

NUMBER_BYTES = 2
"""Bytes of a number of a latent, which lies in (-1, 1): float16."""

KEY_LENGTH = 32


@dataclass(frozen=True)
class LatentPack:
    """The latents of all rows of a stored pack.

    Attributes:
        path: Their file: float16 [N, C, H, W], C-contiguous, no header.
        shape: Channels, height and width of a latent.
        scale: What brings them to mean 0 and deviation 1.
    """

    path: Path
    shape: tuple[int, int, int]
    scale: LatentScale

    @property
    def latent_bytes(self) -> int:
        """Bytes of one latent."""
        channels, height, width = self.shape
        return channels * height * width * NUMBER_BYTES


def find_or_write_latents(
    folder: Path,
    encoder: str,
    size: int,
    encode: Callable[[], Iterable[bytes]],
    progress: ProgressCallback,
) -> Path:
    """Return the file of the latents of a pack; written now, unless it is there.

    While another process writes it, wait for that.

    Args:
        folder: The folder of the pack.
        encoder: Digest of the encoder's weights.
        size: Bytes that the file has.
        encode: Yields its content.
        progress: Called while another process writes it.

    Raises:
        DatasetError: The cache cannot be written.
    """
    path = folder / f"latents-{encoder[:KEY_LENGTH]}.f16"
    try:
        with hold_or_wait(
            lock_path(folder),
            lambda: progress("waiting for another process that encodes the same images", 0, 1),
        ):
            if not (path.is_file() and path.stat().st_size == size):
                _write(path, encode())
    except OSError as error:
        raise cache_error(error, folder) from error
    return path


def _write(path: Path, blocks: Iterable[bytes]) -> None:
    temporary = durable.partial_path(path)
    try:
        with temporary.open("wb") as file:
            for block in blocks:
                durable.disk.write(file, block)
            durable.fsync_file(file)
        durable.publish_file(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
