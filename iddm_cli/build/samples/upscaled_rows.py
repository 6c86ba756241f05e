"""Upscaled images beside what they were made from: the smaller image, and the original.

The originals are held-out images where there are any, always the same of each class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from iddm_cli.build.data import build_store
from iddm_cli.data.loader.batch_loader import normalize
from iddm_cli.data.loader.low_resolution import reduce_size
from iddm_cli.data.packs.pack import Pack
from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec, to_pixels
from iddm_cli.engine.monitoring.held_out_loss import crop_centre
from iddm_cli.engine.sampling.upscaler import Upscaler
from iddm_cli.profiles.profile import ResolvedProfile


@dataclass(frozen=True)
class Original:
    """An image of the dataset that is made smaller and upscaled again.

    Attributes:
        row: Its index among the held-out images, or the training images where none are held out.
        label: Its class.
        number: Its number among those of its class, which decides its noise.
    """

    row: int
    label: int
    number: int


def choose_originals(pack: Pack, labels: Sequence[int], count: int) -> list[Original]:
    """Return so many images of each of some classes; a class with fewer repeats them.

    Args:
        pack: The dataset.
        labels: The classes.
        count: Number of images of each class.
    """
    known = (pack.held_out or pack).labels
    chosen = []
    for label in labels:
        rows = np.flatnonzero(known == label)
        rows = rows if len(rows) else np.arange(len(known))  # none of a rare class is held out
        chosen += [Original(int(rows[i % len(rows)]), label, i) for i in range(count)]
    return chosen


def upscale_originals(
    profile: ResolvedProfile,
    pack: Pack,
    generator: ImageGenerator,
    originals: Sequence[Original],
    *,
    seed: int,
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return smaller image, upscaled image and original of each, [H, W, C], on the CPU.

    The smaller image has no noise, and its pixels are enlarged to squares.

    Args:
        profile: The profile.
        pack: The dataset.
        generator: An image generator of the network.
        originals: The images.
        seed: Random seed.
    """
    if not originals:
        return []
    x = read_originals(profile, pack, [one.row for one in originals])
    factor = profile.model.upscale_factor
    low = reduce_size(x, factor)
    upscaler = Upscaler(generator, factor, noise_level=0.0)
    size = profile.sampling.batch_size
    upscaled: list[Tensor] = []
    for start in range(0, len(x), size):
        batch = originals[start : start + size]
        specs = [SampleSpec(one.label, one.number) for one in batch]
        upscaled += upscaler.upscale_values(low[start : start + size], specs, seed=seed).cpu()
    squares = low.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    smaller, whole = (
        to_pixels(one, generator.levels).permute(0, 2, 3, 1).contiguous() for one in (squares, x)
    )
    return list(zip(smaller, upscaled, whole, strict=True))


def read_originals(profile: ResolvedProfile, pack: Pack, rows: Sequence[int]) -> Tensor:
    """Return images of a pack in [-1, 1], [B, C, H, W], on the CPU: of the held-out ones, if any.

    Raises:
        DatasetError: They cannot be read.
    """
    store = build_store(profile, pack.held_out or pack, torch.device("cpu"))
    try:
        return crop_centre(normalize(store.read(torch.tensor(rows))), profile.data.size)
    finally:
        store.close()
