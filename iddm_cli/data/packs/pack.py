"""The pack: a dataset preprocessed into one array, with what is known of its images."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from iddm_cli.data.decoding.formats.left_out import describe_left_out
from iddm_cli.data.decoding.preprocess import PixelSpec, PreparedImage, PrepareResult
from iddm_cli.data.decoding.resize_stats import ResizeStats, min_median_max
from iddm_cli.data.packs import store
from iddm_cli.data.packs.held_out import NOTHING_HELD_OUT, HeldOutFacts, HeldOutReport
from iddm_cli.data.packs.latents.latent_pack import LatentPack
from iddm_cli.data.packs.record import PackRecord, SourceStats
from iddm_cli.data.packs.store import select_prepared
from iddm_cli.data.sources.indexing.listing import SkippedFile
from iddm_cli.data.sources.source import Source
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings
from iddm_cli.value_range import ValueRange


@dataclass(frozen=True)
class Pack:
    """A dataset preprocessed into one array, with what is known of its training images.

    It is a view of some rows of a stored pack: of its training images, or of the held-out ones.
    `record` is about all rows. Where crops are trained on, an item is one of the tiles that an
    image is divided into, see `crops`, and the row of an image occurs once for each of them.
    """

    folder: Path
    spec: PixelSpec
    record: PackRecord
    labels: ndarray  # int64 [N]; all 0 for training without classes
    classes: tuple[str, ...]
    digest: str
    notes: tuple[str, ...]
    skipped_entries: tuple[SkippedFile, ...]  # entries of the dataset that are not images
    value_notes: tuple[str, ...] = ()  # what was decided about values and bands
    rows: ndarray | None = None  # row of each image in the stored pack, int64 [N]; None: all
    part: str = ""  # the dataset's own part that the stored pack holds; "": the training part
    held_out: "Pack | None" = None  # images that are never trained on; None if there are none
    held_out_facts: HeldOutFacts = NOTHING_HELD_OUT
    tiles: ndarray | None = None  # top and left of each item in its image, int64 [N, 2]
    latents: LatentPack | None = None  # what is trained on in the place of pixels; None: pixels are

    @property
    def count(self) -> int:
        """Number of images, or of their tiles."""
        return len(self.labels)

    @property
    def image_labels(self) -> ndarray:
        """The class of each image, which may have several tiles, int64 [images]."""
        if self.tiles is None or self.rows is None:
            return self.labels
        return self.labels[np.unique(self.rows, return_index=True)[1]]

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour, or the number of bands."""
        return self.record.channels

    @property
    def values(self) -> ValueRange:
        """The range of values that the stored levels stand for."""
        return self.record.values

    @property
    def height(self) -> int:
        """Rows of each stored image; a random crop may use fewer."""
        return self.record.height

    @property
    def width(self) -> int:
        """Columns of each stored image."""
        return self.record.width

    @property
    def unreadable(self) -> list[SkippedFile]:
        """Images that cannot be decoded, and the reasons."""
        return self.record.skipped

    @property
    def names(self) -> list[str]:
        """Name of each image, or of each tile; read from the disk at each access."""
        names = store.read_names(self.folder)
        names = names if self.rows is None else [names[row] for row in self.rows]
        if self.tiles is None:
            return names
        corners = self.tiles.tolist()
        return [f"{n} at {x},{y}" for n, (y, x) in zip(names, corners, strict=True)]

    def class_counts(self) -> list[int]:
        """Return the number of images, or of their tiles, of each class."""
        return self._count_classes(self.labels)

    def image_class_counts(self) -> list[int]:
        """Return the number of images of each class."""
        return self._count_classes(self.image_labels)

    def _count_classes(self, labels: ndarray) -> list[int]:
        counts: list[int] = np.bincount(labels, minlength=len(self.classes)).tolist()
        return counts[: len(self.classes)]

    @property
    def pixels_bytes(self) -> int:
        """Bytes of the pixels of all images, or of the latents in their place."""
        if self.latents is not None:
            return self.count * self.latents.latent_bytes
        if self.tiles is None:
            return self.count * self.spec.image_bytes
        return self.images_path.stat().st_size

    @property
    def images_paths(self) -> tuple[Path, ...]:
        """Files of the raw pixels of all rows: uint8 or uint16 [N, C, H, W], C-contiguous."""
        return store.pixels_paths(self.folder, self.record)

    @property
    def images_path(self) -> Path:
        """The first of these files, for most packs the only one."""
        return self.images_paths[0]

    def report_held_out(self) -> HeldOutReport:
        """Return the report on the held-out images."""
        kept, facts = self.held_out, self.held_out_facts
        training = len(self.image_labels)
        if kept is None:
            return HeldOutReport(facts, training)
        unreadable = len(kept.unreadable) if kept.part else 0
        classes = dict(zip(kept.classes, kept.image_class_counts(), strict=True))
        count = len(kept.image_labels)
        return HeldOutReport(facts, training, count, classes, unreadable, kept.digest)

    def select(self, rows: ndarray) -> "Pack":
        """Return the view of some of its rows, int64 [N]."""
        pixels = store.read_digests(self.folder).digest_pixels(rows)
        labels = self.labels[rows]
        digest = digest_pack(pixels, labels, self.classes)
        return replace(self, rows=rows, labels=labels, digest=digest)

    def with_classes(self, classes: tuple[str, ...], numbers: ndarray) -> "Pack":
        """Return the pack with its classes in another order.

        Args:
            classes: The classes.
            numbers: The new label of each old one, int64 [classes].
        """
        held_out = self.held_out and self.held_out.with_classes(classes, numbers)
        return replace(self, classes=classes, labels=numbers[self.labels], held_out=held_out)


def view_images(
    stored: "StoredPack", source: Source, *, conditional: bool, value_notes: tuple[str, ...]
) -> Pack:
    """Return the view of all images of a stored pack.

    Args:
        stored: The stored pack.
        source: The dataset that it was built from.
        conditional: Whether its classes are trained.
        value_notes: What was decided about values and bands.
    """
    folder, spec, record = stored
    classes = record.classes if conditional else ()
    labels = store.read_labels(folder) * conditional
    missing = sorted(set(source.classes) - set(classes)) if conditional else []
    lost = f"no image of {', '.join(missing[:3])} can be read: training omits the class"
    return Pack(
        folder=folder,
        spec=spec,
        record=record,
        labels=labels,
        classes=classes,
        digest=digest_pack(record.pixels, labels, classes),
        notes=(*source.notes, *([lost] if missing else [])),
        skipped_entries=tuple(source.skipped),
        value_notes=value_notes,
    )


def digest_pack(pixels: str, labels: ndarray, classes: tuple[str, ...]) -> str:
    """Return the digest of the images of a pack and their classes."""
    # The digest of json.dumps([pixels, labels, classes]), of which the labels may be many.
    digest = hashlib.sha256(f"[{json.dumps(pixels)}, [".encode())
    for start in range(0, len(labels), store.BLOCK):
        block = ", ".join(map(str, labels[start : start + store.BLOCK].tolist()))
        digest.update(f"{', ' if start else ''}{block}".encode())
    digest.update(f"], {json.dumps(classes)}]".encode())
    return digest.hexdigest()


class StoredPack(NamedTuple):
    """A complete pack on the disk."""

    folder: Path
    spec: PixelSpec
    record: PackRecord


class NoImageError(DatasetError):
    """No image of a dataset can be decoded, or there is none."""


def build_record(
    source: Source, spec: PixelSpec, results: list[PrepareResult], *, stored: bool
) -> PackRecord:
    """Return the record of a pack after all images of the source have been decoded.

    Raises:
        NoImageError: None can be decoded.
    """
    images = select_prepared(results)
    unreadable = [i for i, result in enumerate(results) if isinstance(result, str)]
    skipped = [(source.item_name(i), str(results[i])) for i in unreadable]
    if not images:
        raise _none_readable(source, skipped)
    used = {source.labels[i] for i, r in enumerate(results) if isinstance(r, PreparedImage)}
    pixels = hashlib.sha256("".join(image.digest for image in images).encode())
    return PackRecord(
        source=source.name,
        place=source.location,
        count=len(images),
        height=spec.size[0],
        width=spec.size[1],
        channels=spec.channels,
        stored=stored,
        classes=tuple(name for label, name in enumerate(source.classes) if label in used),
        skipped=skipped,
        left_out=unreadable,
        values=spec.values,
        cropped=spec.is_cropped,
        grey=all(image.grey for image in images),
        looks=describe_originals(
            np.array([(image.width, image.height) for image in images]),
            spec,
            sum(image.animated for image in images),
        ),
        pixels=pixels.hexdigest(),
    )


def describe_originals(sizes: ndarray, spec: PixelSpec, animated: int) -> SourceStats:
    """Return the statistics of the original images.

    Args:
        sizes: Width and height of each, int64 [N, 2].
        spec: What they were resized to.
        animated: Number of those of several frames or pages.
    """
    widths, heights = sizes[:, 0], sizes[:, 1]
    resized = ResizeStats(widths, heights, spec.size, spec.aspect)
    return SourceStats(
        width=min_median_max(widths),
        height=min_median_max(heights),
        shown=1.0 if spec.is_cropped else float(resized.kept.mean()),
        enlarged=0 if spec.is_cropped else int((resized.scale > 1).sum()),
        animated=animated,
    )


def _none_readable(source: Source, skipped: list[SkippedFile]) -> NoImageError:
    if not skipped:
        return NoImageError(f"{source.name} contains no images", "Check data.path.")
    if left_out := describe_left_out(skipped):
        return NoImageError(
            f"none of the {len(skipped):,} images of {source.name} can be decoded",
            f"{'; '.join(left_out)}.",
        )
    name, reason = skipped[0]
    return NoImageError(
        f"none of the {len(skipped)} images of {source.name} can be decoded; {name}: {reason}",
        "Check that these files are images: iddm inspect-dataset lists the reason for each.",
    )


def make_unreadable_error(name: str, reason: str) -> DatasetError:
    """Return the error for an image that cannot be decoded, where none may be skipped."""
    return DatasetError(
        f"{name} cannot be decoded: {reason}",
        "Repair or remove the file, or set data.on_error to skip.",
    )


def is_conditional(source: Source, settings: DataSettings) -> bool:
    """Return whether classes are trained.

    Raises:
        DatasetError: They are required, and there are none.
    """
    if settings.conditional is True and not source.classes:
        raise DatasetError(
            f"{source.name} has no classes, but data.conditional is true",
            "Put the images of each class into its own folder, or set data.conditional to false.",
        )
    conditional = bool(source.classes) and settings.conditional is not False
    if settings.balance > 0 and not conditional:
        raise DatasetError(
            f"data.balance is {settings.balance:g}, but no classes of {source.name} are trained",
            "Put the images of each class into its own folder, or leave data.balance out.",
        )
    return conditional
