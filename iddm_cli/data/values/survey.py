"""The survey of a dataset: one pass that finds which values its images hold.

Only sets with images of more than 8 bits, of several bands, or of labels need it. The result is
kept in the cache under the fingerprint of the dataset, so that the pass is made once. It depends on
the images alone: not on settings, nor on the number of worker processes.
"""

from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
from numpy import ndarray

from iddm_cli.data.cache_records import locate_record, save_record
from iddm_cli.data.decoding.workers import WorkerFailure, WorkerPool
from iddm_cli.data.progress import ProgressCallback
from iddm_cli.data.sources.source import Source
from iddm_cli.data.values.image_values import ImageValues, sample_image
from iddm_cli.profiles.settings import DataSettings, Settings

FORMAT = 1
TOTAL_PIXELS = 500_000
"""Pixels sampled from the whole set: 500 of them lie beyond each of the 0.1 % ends."""

LEAST_PIXELS = 8
QUANTILES = 1001
"""Entries of a table of quantiles: one for each 0.1 %."""

CHUNK_SIZE = 4


class ValueGroup(Settings):
    """The images of a dataset that have the same type and number of bands."""

    dtype: str
    bands: int
    white: int
    """The largest value that the headers allow; 0 if unknown."""
    photograph: bool
    """Whether they are images of 8 bits, in grey or colour."""
    alpha: int
    """How many of them have opacity."""
    count: int
    grey: bool
    """Whether all are grey."""
    missing: float
    """Mean share of the values that are missing: NaN, infinite, or marked as no data."""
    labels: tuple[int, ...]
    """All values of the group, if they are few, low and grey in every image."""
    multiples: bool
    """Whether all values are multiples of 257, as those of 8 bits stored in 16."""
    quantiles: tuple[tuple[float, ...], ...]
    """Values of each band at 0, 0.1, … 100 %; the first and the last are exact."""

    @property
    def table(self) -> ndarray:
        """The quantiles, [bands, QUANTILES]."""
        return np.array(self.quantiles)


class Survey(Settings):
    """What the values of a dataset are, by type and number of bands; the largest group first."""

    groups: tuple[ValueGroup, ...]


def find_survey(fingerprint: str) -> Survey | None:
    """Return the survey of a dataset from the cache, or None."""
    try:
        return Survey.model_validate_json(_path(fingerprint).read_bytes())
    except (OSError, ValueError):
        return None


def survey_values(
    source: Source, settings: DataSettings, fingerprint: str, progress: ProgressCallback
) -> Survey:
    """Return the survey of a dataset, from the cache or newly made.

    Args:
        source: The dataset.
        settings: How its images are decoded.
        fingerprint: The dataset's fingerprint.
        progress: Called with the number of images done, and of all images.
    """
    if found := find_survey(fingerprint):
        return found
    survey = group_values(_sample_all(source, settings, progress))
    save_record(_path(fingerprint), survey.model_dump_json().encode())
    return survey


def _path(fingerprint: str) -> Path:
    return locate_record("surveys", [FORMAT, fingerprint])


def _sample_all(
    source: Source, settings: DataSettings, progress: ProgressCallback
) -> list[ImageValues]:
    """Return the values of every image that can be decoded, in order."""
    pixels = max(LEAST_PIXELS, TOTAL_PIXELS // max(1, len(source)))
    work = partial(sample_image, pixels, settings.background)
    sampled: list[ImageValues] = []
    done = 0
    with WorkerPool(settings.workers, timeout=settings.timeout) as workers:
        images = (source.image(i) for i in range(len(source)))
        with closing(workers.map_ordered(work, images, chunk=CHUNK_SIZE)) as chunks:
            for chunk in chunks:
                sampled += [one for one in chunk if not isinstance(one, WorkerFailure | str)]
                done += len(chunk)
                progress("reading values", done, len(source))
    return sampled


def group_values(images: Iterable[ImageValues]) -> Survey:
    """Return the survey of some images, grouped by type and number of bands."""
    groups: dict[tuple[str, int, int], list[ImageValues]] = {}
    for image in images:
        groups.setdefault((image.dtype, image.bands, image.white), []).append(image)
    made = [_summarize(group) for group in groups.values()]
    return Survey(groups=tuple(sorted(made, key=lambda group: (-group.count, -group.bands))))


def _summarize(images: list[ImageValues]) -> ValueGroup:
    first = images[0]
    labels = {label for image in images for label in image.labels}
    return ValueGroup(
        dtype=first.dtype,
        bands=first.bands,
        white=first.white,
        photograph=first.photograph,
        alpha=sum(image.alpha for image in images),
        count=len(images),
        grey=all(image.grey for image in images),
        missing=sum(image.missing for image in images) / len(images),
        labels=tuple(sorted(labels)) if all(image.labels for image in images) else (),
        multiples=all(image.multiples for image in images),
        quantiles=_compute_quantiles(images),
    )


def _compute_quantiles(images: list[ImageValues]) -> tuple[tuple[float, ...], ...]:
    samples = np.concatenate([image.samples for image in images])
    tables = []
    for band in range(samples.shape[1]):
        column = samples[:, band]
        column = column[~np.isnan(column)]
        lows, highs = (np.array([getattr(i, end)[band] for i in images]) for end in ("low", "high"))
        if not column.size or np.isnan(lows).all():
            tables.append((0.0,) * QUANTILES)  # the band holds nothing at all
            continue
        table = np.quantile(column, np.linspace(0, 1, QUANTILES))
        table[0], table[-1] = np.nanmin(lows), np.nanmax(highs)
        tables.append(tuple(table.tolist()))
    return tuple(tables)
