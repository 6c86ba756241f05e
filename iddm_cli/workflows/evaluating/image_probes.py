"""Probes: some images of a dataset, decoded to learn their size and the type of their values."""

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from iddm_cli.errors import DatasetError

if TYPE_CHECKING:
    from iddm_cli.data.decoding.images import ImageHandle

IMAGES_READ = 25
LARGEST_SIDE = 256
"""Images need not be decoded at more pixels on the longer side."""


@dataclass(frozen=True)
class ImageProbe:
    """What some images of a dataset are.

    Attributes:
        height: Their median height in pixels.
        width: Their median width.
        dtype: NumPy's name of the type of most of their values.
    """

    height: int
    width: int
    dtype: str


def probe_images(dataset: str) -> ImageProbe:
    """Decode a few images, evenly spread over a dataset.

    Raises:
        DatasetError: It cannot be read, or none of the images can be decoded.
    """
    from iddm_cli.data.decoding.workers import WorkerPool
    from iddm_cli.data.sources.registry import open_dataset
    from iddm_cli.profiles.settings import DataSettings

    data = DataSettings(path=dataset, image_size=[LARGEST_SIDE, LARGEST_SIDE], held_out=0.0)
    source = open_dataset(data, require_labels=False)
    step = max(1, len(source) // IMAGES_READ)
    images = [source.image(i) for i in range(0, len(source), step)]
    with WorkerPool(0, timeout=data.timeout) as workers:
        results = [one for some in workers.map_ordered(_probe, images, chunk=1) for one in some]
    probed = [one for one in results if isinstance(one, ImageProbe)]
    if not probed:
        raise DatasetError(
            f"none of the images of {dataset} that were tried can be decoded",
            f"See: iddm inspect-dataset {dataset}",
        )
    return ImageProbe(
        round(median(one.height for one in probed)),
        round(median(one.width for one in probed)),
        Counter(one.dtype for one in probed).most_common(1)[0][0],
    )


def _probe(image: "ImageHandle") -> ImageProbe | None:
    """Return what an image is; None if it cannot be decoded."""
    from iddm_cli.data.decoding.images import UnreadableImageError

    try:
        decoded = image.open(LARGEST_SIDE)
    except UnreadableImageError:
        return None
    return ImageProbe(decoded.height, decoded.width, decoded.dtype)
