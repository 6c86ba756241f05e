"""A sample of the images of a dataset, decoded before anything is known about it."""

from functools import partial

from iddm_cli.data.decoding.workers import WorkerPool
from iddm_cli.data.inspection.image_stats import ImageStats, measure_image
from iddm_cli.data.sources.source import Source
from iddm_cli.profiles.settings import DataSettings

WORKERS = 2
CHUNK_SIZE = 4


def sample_images(source: Source, settings: DataSettings, *, most: int) -> list[ImageStats]:
    """Return the statistics of images that are spread evenly over a dataset.

    Args:
        source: The dataset.
        settings: How its images are decoded.
        most: Number of images to decode at most.

    Returns:
        One entry for each of them that can be decoded.
    """
    count = min(most, len(source))
    images = [source.image(i * len(source) // count) for i in range(count)]
    with WorkerPool(settings.workers or WORKERS, timeout=settings.timeout) as workers:
        chunks = workers.map_ordered(partial(measure_image, settings), images, chunk=CHUNK_SIZE)
        return [stats for chunk in chunks for stats in chunk if isinstance(stats, ImageStats)]
