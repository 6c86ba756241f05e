"""Building a pack slice by slice, together with every other process that builds the same one.

The unfinished pack is a folder; each slice in it is a complete pack of its images, built as any
other. When all are there, the folder is completed and renamed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from iddm_cli.data.cache import lock_path
from iddm_cli.data.decoding.preprocess import PixelSpec
from iddm_cli.data.packs import store
from iddm_cli.data.packs.disk_room import DiskRoom
from iddm_cli.data.packs.pack import StoredPack
from iddm_cli.data.packs.slices.claimed_slices import build_claimed, hold_all
from iddm_cli.data.packs.slices.joining import join_slices
from iddm_cli.data.packs.slices.slice_source import SliceSource, cut_slices
from iddm_cli.data.progress import ProgressCallback
from iddm_cli.data.sources.source import Source
from iddm_cli.durable import PARTIAL_PREFIX


class PackBuilding(Protocol):
    """What builds the packs of a source; see `packs.builder`."""

    source: Source
    fingerprint: str
    packs: Path
    room: DiskRoom
    progress: ProgressCallback

    def folder(self, spec: PixelSpec, *, stored: bool, auto: bool = False) -> Path:
        """Return the folder of a pack."""

    def find_pack(self, spec: PixelSpec, usable: Sequence[bool]) -> StoredPack | None:
        """Return a complete pack; `usable` is whether its pixels must be stored."""

    def find_or_build_pack(self, spec: PixelSpec) -> StoredPack:
        """Return the pack with these pixels."""

    def find_or_build_ordinary(self) -> StoredPack:
        """Return the pack of ordinary images, of 1 channel if all are grey."""

    def decide_from_cache(self, usable: Sequence[bool]) -> PixelSpec | None:
        """Return what packs in the cache say that `channels: auto` is."""

    def build_slice(self, part: SliceSource, *, stored: bool, packs: Path) -> "PackBuilding":
        """Return what builds a slice, in a folder of its own."""


class SlicedBuild:
    """Builds the pack of a source from slices.

    Args:
        builder: What builds the packs of the source.
        root: The unfinished pack.
        widest: The pixels, of the most channels that they may have.
        least: The pixels, of the fewest channels.
    """

    def __init__(
        self, builder: PackBuilding, root: Path, widest: PixelSpec, least: PixelSpec
    ) -> None:
        self.builder = builder
        self.root = root
        image_bytes = widest.channels * widest.size[0] * widest.size[1]
        self.slices = cut_slices(builder.source, builder.fingerprint, image_bytes)
        if not self.is_needed:
            return
        begun = root.glob(f"{store.SLICES}/*/images.*")
        self.stored = builder.room.should_store(least, *begun)
        name = root.name.removeprefix(PARTIAL_PREFIX)
        self.claims = [lock_path(builder.packs / f"{name}-{i}") for i in range(len(self.slices))]
        self.parts = [
            builder.build_slice(part, stored=self.stored, packs=root / store.SLICES)
            for part in self.slices
        ]

    @property
    def is_needed(self) -> bool:
        """Whether the pixels do not fit into one file."""
        return len(self.slices) > 1

    def decide(self, grey: PixelSpec, colour: PixelSpec) -> PixelSpec:
        """Return the pixels of 1 channel if all images are grey, else those of 3.

        Raises:
            DatasetError: An image cannot be decoded, and data.on_error is fail.
            DeepValuesError: Some image is not one of 8 bits.
        """
        found = build_claimed(
            self.claims,
            lambda number: self.parts[number].find_or_build_ordinary(),
            lambda: self.builder.decide_from_cache((self.stored,)),
            self._report_waiting,
        )
        if isinstance(found, PixelSpec):
            return found
        return grey if all(pack.record.grey for pack in found) else colour

    def build(self, spec: PixelSpec) -> StoredPack:
        """Return the pack, whichever process completes it.

        Raises:
            DatasetError: An image cannot be decoded, and data.on_error is fail.
            OSError: The cache cannot be written.
        """

        def find_whole() -> StoredPack | None:
            return self.builder.find_pack(spec, (self.stored,))

        found = build_claimed(
            self.claims,
            lambda number: self.parts[number].find_or_build_pack(spec),
            find_whole,
            self._report_waiting,
        )
        if isinstance(found, StoredPack):
            return found
        with hold_all(self.claims, self._report_waiting):
            folder = self.builder.folder(spec, stored=self.stored)
            return find_whole() or join_slices(
                self.builder.source, self.slices, found, folder, self.root
            )

    def _report_waiting(self) -> None:
        self.builder.progress("waiting for another process that reads the same images", 0, 1)
