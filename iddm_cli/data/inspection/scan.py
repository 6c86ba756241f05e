"""Scan of a dataset: every image decoded once, its statistics, and its duplicates."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy import ndarray

from iddm_cli.data.decoding.preprocess import PixelSpec, find_shortage
from iddm_cli.data.decoding.workers import WorkerFailure, WorkerPool
from iddm_cli.data.inspection.duplicates import (
    Groups,
    NearDuplicates,
    find_near_duplicates,
    group_equal,
)
from iddm_cli.data.inspection.held_out_scan import scan_held_out
from iddm_cli.data.inspection.image_stats import STATS_DTYPE, measure_image
from iddm_cli.data.inspection.set_values import SetValues, find_rejected, find_values
from iddm_cli.data.packs.held_out import HeldOutReport
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources.indexing.listing import SkippedFile
from iddm_cli.data.sources.source import Source
from iddm_cli.profiles.settings import DataSettings

CHUNK_SIZE = 16


@dataclass(frozen=True)
class DatasetScan:
    """Statistics of every readable image, one row each, and groups of duplicates.

    Attributes:
        source: The dataset.
        settings: How training would preprocess its images.
        items: Index of each row's image in the source, [N].
        labels: Class index of each row, [N].
        stats: STATS_DTYPE of each row, [N].
        unreadable: Names of the other images, and the reasons.
        equal: Groups of rows with equal pixels.
        near: Groups of rows that look nearly the same; of equal images only the first takes part.
        values: What values they have, and how these are trained on.
        held_out: Which of them, or which others, are never trained on.
    """

    source: Source
    settings: DataSettings
    items: ndarray
    labels: ndarray
    stats: ndarray
    unreadable: list[SkippedFile]
    equal: Groups
    near: NearDuplicates
    values: SetValues
    held_out: HeldOutReport

    @property
    def spec(self) -> PixelSpec:
        """The pixels that training stores."""
        return self.values.spec

    def names(self, rows: Iterable[int]) -> list[str]:
        """Return the names of some rows' images."""
        return [self.source.item_name(int(self.items[row])) for row in rows]

    def classes(self, rows: Sequence[int]) -> list[str]:
        """Return the names of the classes of some rows, each once."""
        names = self.source.classes
        return [names[label] for label in np.unique(self.labels[rows])] if names else []

    def sort_groups(self, groups: Groups) -> Groups:
        """Return the groups with those across classes first."""
        return sorted(groups, key=lambda group: len(self.classes(group)) < 2)


def scan(
    source: Source, settings: DataSettings, *, progress: ProgressCallback = no_progress
) -> DatasetScan:
    """Decode every image of a dataset once, in parallel, and compare them."""
    stats, reasons = _measure_all(source, settings, progress)
    items = np.array([i for i in range(len(source)) if i not in reasons], np.int64)
    values = find_values(source, settings, stats[items], progress)
    reasons |= {int(items[row]): why for row, why in find_rejected(stats[items], values, settings)}
    items = np.array([i for i in items if int(i) not in reasons], np.int64)
    stats = stats[items]
    equal, near = _compare(stats, progress)
    labels = np.asarray(source.labels, np.int64)[items]
    held_out = scan_held_out(
        source, settings, stats, labels, lambda part: _measure_all(part, settings, progress)
    )
    return DatasetScan(
        source=source,
        settings=settings,
        items=items,
        labels=labels,
        stats=stats,
        unreadable=[(source.item_name(i), reason) for i, reason in sorted(reasons.items())],
        equal=equal,
        near=near,
        values=values,
        held_out=held_out,
    )


def _measure_all(
    source: Source, settings: DataSettings, progress: ProgressCallback
) -> tuple[ndarray, dict[int, str]]:
    """Return STATS_DTYPE of each image, and by its index the reason why an image has none."""
    stats = np.zeros(len(source), STATS_DTYPE)
    reasons: dict[int, str] = {}
    spec, done = PixelSpec.from_settings(settings, 3), 0
    images = (source.image(i) for i in range(len(source)))
    with WorkerPool(settings.workers, timeout=settings.timeout) as workers:
        chunks = workers.map_ordered(partial(measure_image, settings), images, chunk=CHUNK_SIZE)
        with closing(chunks):
            for chunk in chunks:
                for i, result in enumerate(chunk, start=done):
                    if isinstance(result, WorkerFailure | str):
                        reasons[i] = result.reason if isinstance(result, WorkerFailure) else result
                    elif shortage := find_shortage(spec, result.width, result.height):
                        reasons[i] = shortage
                    else:
                        stats[i] = tuple(result)
                done += len(chunk)
                progress("reading images", done, len(source))
    return stats, reasons


def _compare(stats: ndarray, progress: ProgressCallback) -> tuple[Groups, NearDuplicates]:
    """Group equal images, and near duplicates among all but the repeated ones."""
    progress("comparing images", 0, len(stats))
    equal = group_equal(stats["digest"])
    repeated = {row for group in equal for row in group[1:]}
    rows = np.array([row for row in range(len(stats)) if row not in repeated], np.int64)
    near = find_near_duplicates(stats["hash"][rows], stats["thumb"][rows])
    groups = [rows[group].tolist() for group in near.groups]
    progress("comparing images", len(stats), len(stats))
    return equal, replace(near, groups=groups)
