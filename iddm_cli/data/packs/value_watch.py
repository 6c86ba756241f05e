"""Watching a build of ordinary images for images that need a survey of their values."""

from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from iddm_cli.data.decoding.preprocess import (
    DeepValuesError,
    PixelSpec,
    PreparedImage,
    prepare_image,
)
from iddm_cli.data.decoding.workers import WorkerPool
from iddm_cli.data.packs.auto_channels import BothForms
from iddm_cli.data.sources.source import Source
from iddm_cli.profiles.settings import DataSettings
from iddm_cli.value_range import HIGHEST_LABEL

FIRST_BYTES = 2**22
PROBED_IMAGES = 16


class ValueWatch:
    """Notices images of labels, which have only a few low values.

    Args:
        settings: The settings; with a data.value_range, labels are not looked for.
        is_first: Whether the first images are those of a dataset, and not of a later slice.

    Attributes:
        active: Whether anything is watched: not if the values are known.
    """

    def __init__(self, settings: DataSettings, *, is_first: bool = True) -> None:
        self.active = False
        self._settings = settings
        self._finds_labels = is_first and settings.value_range == "auto"

    def check_results(self, results: Sequence[PreparedImage | BothForms | str], first: int) -> None:
        """Check images from index `first` on; all of the first ones decide.

        Raises:
            DeepValuesError: They may be labels.
        """
        if self.active and self._finds_labels and first == 0:
            images = [result for result in results if not isinstance(result, str)]
            if images and all(image.may_be_labels for image in images):
                raise DeepValuesError

    def check_pack(self, pixels: Path, spec: PixelSpec, source: Source) -> None:
        """Check a pack of 8 bits, which an earlier version may have built of deeper images.

        Args:
            pixels: The file of its pixels.
            spec: Its pixels.
            source: The dataset, of which some images are decoded again.

        Raises:
            DeepValuesError: They are not ordinary images, or may be labels.
        """
        if self._finds_labels and pixels.exists():
            highest = np.fromfile(pixels, np.uint8, count=FIRST_BYTES).max()
            if 0 < highest <= HIGHEST_LABEL:
                raise DeepValuesError
        step = max(1, len(source) // PROBED_IMAGES)
        images = [source.image(i) for i in range(0, len(source), step)]
        work = partial(prepare_image, spec, only_8_bits=True)
        with WorkerPool(self._settings.workers, timeout=self._settings.timeout) as workers:
            deque(workers.map_ordered(work, images, chunk=1), maxlen=0)
