"""Positions of crops: two channels that tell a network where in its whole image each pixel lies.

Patch Diffusion (Wang et al. 2023, arXiv:2304.12526) includes the location of a patch in its image
as coordinate channels beside x_t, scaled to [-1, 1]. Here they are those of the centres of pixels,
so that an image and a smaller copy of it have the same ones; the paper scales by the number of
pixels less one. The paper also varies the size of patches, which is left out.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from iddm_cli.data.loader.crop_store import CropStore, RandomCrops
from iddm_cli.data.loader.transfer import copy_to

FindItemsFn = Callable[[int, Tensor], Tensor]
"""`find_items(step, slots)` returns the item index of each slot, int64 [B]."""

ChooseFlipsFn = Callable[[int, Tensor], Tensor]
"""`choose_flips(step, slots)` returns whether the image of each slot is mirrored, bool [B]."""


def build_coordinates(corners: Tensor, wholes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the coordinates of the pixels of crops, float32 [B, 2, h, w].

    The first channel is x, from -1 at the left border of the whole image to 1 at its right one; the
    second is y, from -1 at its top to 1 at its bottom.

    Args:
        corners: Top and left of each crop in its whole image, in pixels, [B, 2].
        wholes: Height and width of each whole image, [B, 2].
        size: Height and width of the crops.
    """
    sides = [
        2 * (corners[:, i, None].double() + torch.arange(size[i]) + 0.5) / wholes[:, i, None] - 1
        for i in (0, 1)
    ]
    y, x = sides[0][:, :, None], sides[1][:, None, :]
    shape = (len(corners), *size)
    return torch.stack([x.expand(shape), y.expand(shape)], dim=1).float()


def mirror_corners(corners: Tensor, wholes: Tensor, width: int, mirrored: Tensor) -> Tensor:
    """Return the corners of crops, of which some are mirrored from left to right, [B, 2].

    A mirrored crop is a crop of the mirrored image: what lay at its left border lies at its right.

    Args:
        corners: Top and left of each crop before it is mirrored, [B, 2].
        wholes: Height and width of each whole image, [B, 2].
        width: Width of the crops.
        mirrored: Which crops are mirrored, bool [B].
    """
    left = torch.where(mirrored, wholes[:, 1] - width - corners[:, 1], corners[:, 1])
    return torch.stack([corners[:, 0], left], dim=1)


class PositionCondition:
    """Makes the coordinates of the random crops of a training batch.

    Other changes than mirroring leave them as they are: a rotated crop has those of its place, and
    data.augment tells the network by itself what it changes.

    Args:
        crops: What chooses the crops.
        find_items: The item of each slot.
        choose_flips: Which crops are mirrored; None: none is.
    """

    def __init__(
        self, crops: RandomCrops, find_items: FindItemsFn, choose_flips: ChooseFlipsFn | None
    ) -> None:
        self.crops = crops
        self._find_items = find_items
        self._choose_flips = choose_flips

    def __call__(self, x: Tensor, step: int, slots: Tensor) -> Tensor:
        """Return the coordinates of a batch, [B, 2, H, W], on the device of x.

        Args:
            x: The crops, [B, C, H, W].
            step: The training step.
            slots: Slots of the crops in the global batch, [B], on the CPU.
        """
        height, width = x.shape[2:]
        index = self._find_items(step, slots)
        corners = self.crops.choose_corners(index, step, slots)
        wholes = self.crops.store.find_sizes(index)
        if self._choose_flips is not None:
            mirrored = self._choose_flips(step, slots)
            corners = mirror_corners(corners, wholes, width, mirrored)
        return copy_to(x.device, build_coordinates(corners, wholes, (height, width)))


def locate_tiles(store: CropStore, index: Tensor) -> Tensor:
    """Return the coordinates of the tiles of some items, [B, 2, h, w], on the CPU."""
    return build_coordinates(store.tiles[index], store.find_sizes(index), store.shape[1:])


def build_blank_coordinates(x: Tensor, step: int, slots: Tensor) -> Tensor:  # noqa: ARG001
    """Return coordinates of 0, [B, 2, H, W], for images of noise, of which time is measured."""
    return x.new_zeros(len(x), 2, *x.shape[2:])
