"""Building packs: every image decoded once, into one array in the cache that training reads.

A pack is reused while the content of the dataset's files, and the settings that its pixels depend
on, stay the same.
"""

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from iddm_cli.data.cache import cache_error, cache_folder, lock_path, mark_used
from iddm_cli.data.decoding.images import ImageHandle
from iddm_cli.data.decoding.preprocess import (
    DeepValuesError,
    PixelSpec,
    PreparedImage,
    prepare_image,
)
from iddm_cli.data.decoding.workers import WorkerFailure, WorkerPool
from iddm_cli.data.packs import store
from iddm_cli.data.packs.auto_channels import GREY, AutoChannelsWriter, BothForms, prepare_both
from iddm_cli.data.packs.crops import take_crops
from iddm_cli.data.packs.disk_room import DiskRoom
from iddm_cli.data.packs.pack import (
    Pack,
    StoredPack,
    build_record,
    is_conditional,
    make_unreadable_error,
    view_images,
)
from iddm_cli.data.packs.slices.slice_source import SliceSource
from iddm_cli.data.packs.slices.sliced_build import SlicedBuild
from iddm_cli.data.packs.splitting import hold_out
from iddm_cli.data.packs.stale_partials import remove_stale_partials
from iddm_cli.data.packs.store import PackWriter
from iddm_cli.data.packs.value_watch import ValueWatch
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources.source import Source
from iddm_cli.data.values.survey import find_survey, survey_values
from iddm_cli.data.values.value_plan import ValuePlan, ordinary_range, plan_values
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings
from iddm_cli.storage.file_locks import hold_or_wait
from iddm_cli.value_range import EIGHT_BIT, ValueRange

FORMAT = 6
CHUNK_BYTES = 2 * 2**20
MAX_CHUNK = 32

Result = TypeVar("Result")


def build_pack(
    source: Source,
    settings: DataSettings,
    *,
    values: ValueRange | None = None,
    progress: ProgressCallback = no_progress,
) -> Pack:
    """Return the pack of a dataset, from the cache or newly built.

    If another process is building the same pack, wait for it and use its pack. If data.cache is
    off, or auto and the disk has no room, check the images without storing their pixels.

    Args:
        source: The dataset.
        settings: How its images become pixels.
        values: The range that a run has recorded; None: as data.value_range says.
        progress: Called with what is done, how much of it, and of how much.

    Raises:
        DatasetError: The values have no common range; classes are required and there are none; an
            image cannot be decoded and data.on_error is fail; no image can be decoded; or the cache
            cannot be written.
    """
    conditional = is_conditional(source, settings)
    builder = _PackBuilder(source, settings, progress)
    stored = builder.find_or_build(values)
    value_notes = builder.plan.notes if builder.plan else ()
    pack = view_images(stored, source, conditional=conditional, value_notes=value_notes)

    def find_or_build_part(part: Source) -> StoredPack:
        decided = settings.model_copy(update={"channels": pack.channels})
        return _PackBuilder(part, decided, progress).find_or_build(pack.values)

    return take_crops(hold_out(pack, source, settings.held_out, find_or_build_part))


class _PackBuilder:
    """Finds the pack of a source in the cache, or builds it."""

    def __init__(
        self,
        source: Source,
        settings: DataSettings,
        progress: ProgressCallback,
        packs: Path | None = None,
    ) -> None:
        self.source = source
        self.settings = settings
        self.progress = progress
        self.packs = packs or cache_folder() / "packs"
        self.room = DiskRoom(self.packs, len(source), settings.cache)
        self.fingerprint = source.fingerprint(progress)
        # A pack without pixels is enough only if none are wanted.
        self.usable = (True, False) if settings.cache == "off" else (True,)
        self.plan: ValuePlan | None = None
        self.watch = ValueWatch(settings, is_first=getattr(source, "start", 0) == 0)

    def find_or_build(self, values: ValueRange | None) -> StoredPack:
        """Return the pack, from the cache or newly built.

        Raises:
            DatasetError: It cannot be built, or lacks an image and data.on_error is fail.
        """
        found = self._find_or_decide(values)
        if found.record.skipped and self.settings.on_error == "fail":
            raise make_unreadable_error(*found.record.skipped[0])
        return found

    def _find_or_decide(self, values: ValueRange | None) -> StoredPack:
        """Return the pack, and decide its values and channels.

        Most sets are ordinary images of 8 bits, and are decoded once. Only where an image turns
        out to be something else are all values surveyed first.
        """
        channels = self.settings.channels
        if values is not None:
            assert channels != "auto", "a run has recorded them"
            return self.find_or_build_pack(self._spec(channels, values))
        if self.settings.value_range in ("auto", [0, 255]) and not find_survey(self.fingerprint):
            self.watch.active = True
            try:
                found = self.find_or_build_ordinary()
                if not found.record.ordinary:
                    pixels = found.folder / store.PIXELS
                    self.watch.check_pack(pixels, found.spec, self.source)
                    store.mark_ordinary(found.folder, found.record)
                return found
            except DeepValuesError:
                self.watch.active = False
        survey = survey_values(self.source, self.settings, self.fingerprint, self.progress)
        if not survey.groups:  # the reasons are reported as for any set
            return self.find_or_build_ordinary()
        self.plan = plan_values(survey, self.settings)
        return self.find_or_build_pack(self._spec(self.plan.channels, self.plan.values))

    def find_or_build_ordinary(self) -> StoredPack:
        """Return the pack of a set of ordinary images.

        Raises:
            DeepValuesError: Some image is not one, or the images may be labels.
        """
        if self.settings.channels != "auto":
            channels = self.settings.channels
            return self.find_or_build_pack(self._spec(channels, ordinary_range(channels)))
        decided = self.decide_from_cache(self.usable)
        if decided is not None:
            return self.find_or_build_pack(decided)
        with self._prepared_cache():
            grey, colour = self._spec(1), self._spec(3)
            root = store.partial_folder(self.folder(colour, stored=True, auto=True))
            if sliced := self._slice(root, colour, grey):
                return sliced.build(sliced.decide(grey, colour))
            return self._build_auto()

    def _spec(self, channels: int, values: ValueRange = EIGHT_BIT) -> PixelSpec:
        return PixelSpec.from_settings(self.settings, channels, values)

    def decide_from_cache(self, usable: Sequence[bool]) -> PixelSpec | None:
        """Return what `channels: auto` is if a pack in the cache settles it: all grey, or not."""
        packs = [self.find_pack(self._spec(channels), usable) for channels in (1, 3)]
        known = [pack.record.grey for pack in packs if pack]
        if not known:
            return None
        return self._spec(1) if all(known) else self._spec(3)

    def folder(self, spec: PixelSpec, *, stored: bool, auto: bool = False) -> Path:
        """Return the folder, named by a digest of everything that the pixels depend on.

        The time limit per image is included: an image that takes too long may succeed with more.
        """
        channels = "auto" if auto else spec.channels
        facts = [FORMAT, self.fingerprint, spec.size, channels, spec.aspect, spec.background]
        facts += [self.settings.timeout, stored]
        facts += [] if spec.values == EIGHT_BIT else [spec.values.to_json()]
        facts += [["cropped", spec.crop_scale]] if spec.is_cropped else []
        return self.packs / hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def find_pack(self, spec: PixelSpec, usable: Sequence[bool]) -> StoredPack | None:
        """Return a complete pack with these pixels; `usable` is whether they must be stored."""
        for stored in usable:
            folder = self.folder(spec, stored=stored)
            if record := store.read_record(folder):
                mark_used(folder)
                return StoredPack(folder, spec, record)
        return None

    @contextmanager
    def _prepared_cache(self) -> Iterator[None]:
        """Create the cache's folder, and report errors of the disk as errors of the cache."""
        try:
            self.packs.mkdir(parents=True, exist_ok=True)
            remove_stale_partials(self.packs)
            yield
        except OSError as error:
            raise cache_error(error, self.packs) from error

    def _hold(self, folder: Path) -> AbstractContextManager[None]:
        """Hold the lock of a pack; wait if another process is building it."""
        return hold_or_wait(
            lock_path(folder),
            lambda: self.progress("waiting for another process that reads the same images", 0, 1),
        )

    def find_or_build_pack(self, spec: PixelSpec) -> StoredPack:
        """Return the pack with these pixels."""
        if found := self.find_pack(spec, self.usable):
            return found
        with self._prepared_cache():
            root = store.partial_folder(self.folder(spec, stored=True))
            if sliced := self._slice(root, spec, spec):
                return sliced.build(spec)
            stored = self.room.should_store(spec, root / store.pixels_file(spec.values))
            folder = self.folder(spec, stored=stored)
            with self._hold(folder):
                # The process that held the lock before may have built it.
                return self.find_pack(spec, (stored,)) or self._build(spec, folder, stored=stored)

    def _slice(self, root: Path, widest: PixelSpec, least: PixelSpec) -> SlicedBuild | None:
        """Return what builds the pack in slices; None where its pixels fit into one file."""
        if isinstance(self.source, SliceSource) or widest.is_cropped:
            return None
        sliced = SlicedBuild(self, root, widest, least)
        return sliced if sliced.is_needed else None

    def build_slice(self, part: SliceSource, *, stored: bool, packs: Path) -> "_PackBuilder":
        """Return what builds a slice, in a folder of its own."""
        settings = self.settings.model_copy(update={"cache": "disk" if stored else "off"})
        builder = _PackBuilder(part, settings, part.shift_progress(self.progress), packs)
        builder.watch.active = self.watch.active
        return builder

    def _build(self, spec: PixelSpec, folder: Path, *, stored: bool) -> StoredPack:
        writer = PackWriter(store.partial_folder(folder), spec, stored=stored)
        with _discarding_on_error(writer):
            writer.open()
            self._check(writer.results, 0)
            work = partial(prepare_image, spec, only_8_bits=self.watch.active)
            with closing(self._decode(work, len(writer.results), spec)) as lists:
                for results in lists:
                    self._check(results, len(writer.results))
                    self.watch.check_results(results, len(writer.results))
                    writer.append(results)
                    self.progress("reading images", len(writer.results), len(self.source))
            return self._publish(writer, spec, folder)

    def _build_auto(self) -> StoredPack:
        """Decode the dataset once, and build the pack of as many channels as it needs."""
        grey, colour = self._spec(1), self._spec(3)
        begun = store.partial_folder(self.folder(colour, stored=True, auto=True))
        stored = self.room.should_store(grey, begun / GREY / store.PIXELS)
        folder = self.folder(colour, stored=stored, auto=True)
        with self._hold(folder):
            # The process that held the lock before may have decided.
            decided = self.decide_from_cache((*self.usable, stored))
            if decided is not None:
                return self.find_or_build_pack(decided)
            writer = AutoChannelsWriter(
                store.partial_folder(folder),
                grey,
                colour,
                stored=stored,
                should_store_colour=lambda pixels: self.room.has_room(colour, pixels),
            )
            with _discarding_on_error(writer):
                return self._fill_auto(writer, partial(prepare_both, grey, colour))

    def _fill_auto(
        self, writer: AutoChannelsWriter, work: Callable[[ImageHandle], BothForms | str]
    ) -> StoredPack:
        writer.open()
        self._check(writer.results, 0)
        with closing(self._decode(work, len(writer.results), self._spec(3))) as lists:
            for results in lists:
                self._check(results, len(writer.results))
                self.watch.check_results(results, len(writer.results))
                writer.append(results)
                if self.settings.cache == "disk" and not writer.stored:
                    raise self.room.error(writer.spec, writer.writer.folder / store.PIXELS)
                self.progress("reading images", len(writer.results), len(self.source))
        spec, folder = writer.spec, self.folder(writer.spec, stored=writer.stored)
        with self._hold(folder):
            # Another process may have built this pack with data.channels 1 or 3.
            pack = self.find_pack(spec, (writer.stored,))
            pack = pack or self._publish(writer.writer, spec, folder)
        writer.discard()
        return pack

    def _decode(
        self, work: Callable[[ImageHandle], Result | str], first: int, spec: PixelSpec
    ) -> Generator[list[Result | str], None, None]:
        """Yield work(image) for the images from index `first` on, in order, in lists."""
        if first >= len(self.source):
            return
        images = (self.source.image(i) for i in range(first, len(self.source)))
        chunk = max(1, min(MAX_CHUNK, CHUNK_BYTES // spec.image_bytes))
        chunk = 1 if spec.is_cropped else chunk
        with (
            WorkerPool(self.settings.workers, timeout=self.settings.timeout) as workers,
            closing(workers.map_ordered(work, images, chunk=chunk)) as lists,
        ):
            for results in lists:
                yield [r.reason if isinstance(r, WorkerFailure) else r for r in results]

    def _check(self, results: Sequence[object], first: int) -> None:
        """Raise the error of an image that cannot be decoded, if data.on_error is fail."""
        if self.settings.on_error == "fail":
            for i, result in enumerate(results, start=first):
                if isinstance(result, str):
                    raise make_unreadable_error(self.source.item_name(i), result)

    def _publish(self, writer: PackWriter, spec: PixelSpec, folder: Path) -> StoredPack:
        """Complete a pack whose images are all written."""
        record = build_record(self.source, spec, writer.results, stored=writer.stored)
        record = record.model_copy(update={"ordinary": self.watch.active})
        index = {name: label for label, name in enumerate(record.classes)}
        classes = self.source.classes or ("",)
        used = [i for i, r in enumerate(writer.results) if isinstance(r, PreparedImage)]
        labels = [index.get(classes[self.source.labels[i]], 0) for i in used]
        names, is_slice = map(self.source.item_name, used), isinstance(self.source, SliceSource)
        writer.publish(folder, record, labels, list(names), with_sizes=is_slice)
        return StoredPack(folder, spec, record)


@contextmanager
def _discarding_on_error(writer: PackWriter | AutoChannelsWriter) -> Iterator[None]:
    """Discard what was written if the dataset is unusable; keep it if the work is interrupted."""
    try:
        yield
    except (DatasetError, DeepValuesError):
        writer.discard()
        raise
    finally:
        writer.close()
