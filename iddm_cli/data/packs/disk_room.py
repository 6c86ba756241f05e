"""Whether the disk of the cache has room for the pixels of a pack."""

from pathlib import Path

from iddm_cli.data.cache import CACHE_HINT
from iddm_cli.data.decoding.preprocess import PixelSpec
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import CacheName
from iddm_cli.storage.space import free_bytes

SIZE_MARGIN = 1.02
"""Required free space as a multiple of the pixels: names, labels and the journal are small."""


class DiskRoom:
    """The room that a pack's pixels need in the cache, and have.

    Args:
        folder: The folder of the packs.
        count: Number of images.
        cache: The setting data.cache.
    """

    def __init__(self, folder: Path, count: int, cache: CacheName) -> None:
        self.folder = folder
        self.count = count
        self.cache = cache

    def should_store(self, spec: PixelSpec, *begun: Path) -> bool:
        """Return whether to store the pixels on the disk.

        Args:
            spec: The pixels of the pack.
            begun: The pixels that an earlier build has stored already.

        Raises:
            DatasetError: There is no room, and data.cache is disk or crops need it.
        """
        if self.cache == "off":
            return False
        if self.has_room(spec, *begun):
            return True
        if self.cache == "auto" and not spec.is_cropped:
            return False
        raise self.error(spec, *begun)

    def has_room(self, spec: PixelSpec, *begun: Path) -> bool:
        """Return whether the disk has room for the pixels that are still missing."""
        free = free_bytes(self.folder)
        return free is None or self._missing_bytes(spec, *begun) <= free

    def error(self, spec: PixelSpec, *begun: Path) -> DatasetError:
        """Return the error for a disk without room."""
        needed, free = self._missing_bytes(spec, *begun) / 1e9, (free_bytes(self.folder) or 0) / 1e9
        at_least = "at least " if spec.is_cropped else ""
        off = " Or set data.cache to off, which decodes the images in every epoch."
        return DatasetError(
            f"the pack needs {at_least}{needed:.2f} GB in {self.folder}, where {free:.2f} GB are "
            "free",
            f"{CACHE_HINT}{'' if spec.is_cropped else off}",
        )

    def _missing_bytes(self, spec: PixelSpec, *begun: Path) -> int:
        # Of images that keep their size, which is not known yet, each has at least one crop.
        needed = round(SIZE_MARGIN * self.count * spec.image_bytes)
        return needed - sum(path.stat().st_size for path in begun if path.exists())
