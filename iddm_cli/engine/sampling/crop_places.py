"""Places of generated crops in the whole image: what a network reads that was trained on positions.

A generated image of the size of a crop lies at a random place, as those do that were trained on. A
larger one is a whole image, so that its only place is its upper left corner, and its windows lie in
it where they are computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from iddm_cli.data.loader.crop_positions import build_coordinates
from iddm_cli.diffusion.denoiser import Denoise, condition_on
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.engine import randomness
from iddm_cli.engine.sampling.image_condition import ImageCondition
from iddm_cli.engine.sampling.sample_noise import PURPOSE, NoisePath

PURPOSES = ("sample-top", "sample-left")
"""Of the random numbers that decide the place of a generated image."""


@dataclass(frozen=True)
class CropPlaces:
    """Where generated images lie.

    Attributes:
        whole: Height and width of the whole image that they are crops of, in pixels.
    """

    whole: tuple[int, int]
    purpose: ClassVar[str] = PURPOSE

    def build_condition(
        self,
        items: Sequence[int | NoisePath],
        seed: int,
        size: tuple[int, int],
        device: torch.device,
    ) -> Tensor:
        """Return the coordinates of the pixels of images, [B, 2, *size].

        Args:
            items: What decides the noise of each image decides its place as well; a point between
                two noises lies between their places.
            seed: Random seed.
            size: Height and width of the images.
            device: Where to compute.
        """
        paths = [
            item if isinstance(item, NoisePath) else NoisePath(item, item, 0) for item in items
        ]
        start = self.choose_corners([path.start for path in paths], seed, size)
        end = self.choose_corners([path.end for path in paths], seed, size)
        share = torch.tensor([path.position for path in paths], dtype=torch.float64)[:, None]
        return self._locate(start + share * (end - start), size, device)

    def build_middle(self, count: int, size: tuple[int, int], device: torch.device) -> Tensor:
        """Return the coordinates of so many crops in the middle, [B, 2, *size]."""
        corner = (torch.tensor(self.whole) - torch.tensor(size)) / 2
        return self._locate(corner.expand(count, 2), size, device)

    def choose_corners(self, items: Sequence[int], seed: int, size: tuple[int, int]) -> Tensor:
        """Return top and left of each image, every place equally likely, float64 [B, 2].

        Args:
            items: The noise index of each.
            seed: Random seed.
            size: Height and width of the images.
        """
        index = torch.tensor(items)
        numbers = [randomness.uniform(seed, one, items=index, step=0) for one in PURPOSES]
        places = torch.tensor(self.whole) - torch.tensor(size) + 1
        return (torch.stack(numbers, dim=1).double() * places).floor()

    def _locate(self, corners: Tensor, size: tuple[int, int], device: torch.device) -> Tensor:
        wholes = torch.tensor(self.whole).expand(len(corners), 2)
        return build_coordinates(corners, wholes, size).to(device)


@dataclass(frozen=True, eq=False)
class PlacedBatch(ImageCondition):
    """A batch of crops whose places are known.

    Attributes:
        coordinates: See `CropPlaces`, [B, 2, H, W], on the denoiser's device.
        known: What else is known of it.
    """

    coordinates: Tensor
    known: ImageCondition

    def find_result(self) -> Tensor | None:
        """Return the images where nothing is left to generate, whatever their places are."""
        return self.known.find_result()

    def begin(self, noise: Tensor, schedule: NoiseSchedule, time: int) -> Tensor:
        """Return x_t where sampling starts, which does not depend on places."""
        return self.known.begin(noise, schedule, time)

    def keep(self, denoise: Denoise) -> Denoise:
        """Return a denoiser of x_t alone, whose network also reads the coordinates."""
        return self.known.keep(condition_on(denoise, self.coordinates))

    def paste(self, pixels: Tensor) -> Tensor:
        """Return generated pixels with those that are known."""
        return self.known.paste(pixels)
