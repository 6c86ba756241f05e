"""Non-leaky augmentation: images are changed, and the changes condition the network.

A model of few images that is also trained on changed ones memorizes them later. So that it does not
generate changed ones, the parameters of each change condition the network, and sampling sets them
to zero (Karras et al. 2022, arXiv:2206.00364, section 5 and appendix F.2).
"""

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from iddm_cli.data.loader.augmentation_parameters import (
    NUMBERS,
    PURPOSE,
    RGB,
    AugmentationParameters,
    UniformsFn,
    sample_parameters,
)
from iddm_cli.data.loader.transfer import copy_to


class ConditionedAugmentation:
    """Changes the images of a batch, and describes each change.

    Args:
        probability: Probability of each kind of change, in (0, 1].
        uniforms: Source of random numbers.
    """

    def __init__(self, probability: float, uniforms: UniformsFn) -> None:
        self.probability = probability
        self._random = uniforms

    def __call__(self, x: Tensor, step: int, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch with images changed, and what conditions the network on it.

        Args:
            x: Images in [-1, 1], float32 [B, C, H, W].
            step: The training step.
            slots: Slots of the images in the global batch, [B], on the CPU.

        Returns:
            Images, [B, C, H, W], whose values may leave [-1, 1] where brightness or contrast
            change; and vectors, float32 [B, `count_conditions(C)`]. Both on the device of x.
        """
        numbers = self._random(PURPOSE, step, slots, NUMBERS)
        parameters = sample_parameters(numbers, self.probability)
        vector = parameters.to_vector(x.shape[1])
        return augment(x, parameters), copy_to(x.device, vector)


def augment(x: Tensor, parameters: AugmentationParameters) -> Tensor:
    """Return a batch with each image changed; where all parameters are 0, it keeps its bits."""
    x = _flip(x, parameters.flip_x > 0, 3)
    x = _flip(x, parameters.flip_y > 0, 2)
    x = _warp(x, parameters)
    if x.shape[1] == RGB:
        x = _recolour(x, parameters)
    return _light(x, parameters)


def _flip(x: Tensor, where: Tensor, dim: int) -> Tensor:
    # What is decided on the CPU also skips work there: a GPU need not be asked.
    if not where.any():
        return x
    return torch.where(copy_to(x.device, where)[:, None, None, None], x.flip(dim), x)


def _warp(x: Tensor, parameters: AugmentationParameters) -> Tensor:
    """Scale, rotate, stretch and shift, in one interpolation.

    Bicubic, which blurs least; a filter against aliasing is left out, since one image in two
    hundred shrinks to less than 0.7, and the network is conditioned on it.
    """
    rows = parameters.is_warped.nonzero()[:, 0]
    if not len(rows):
        return x
    theta = copy_to(x.device, parameters.to_affine(x.shape[2], x.shape[3])[rows])
    rows = copy_to(x.device, rows)
    part = x[rows]
    grid = affine_grid(theta, list(part.shape), align_corners=False)
    part = grid_sample(part, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return x.index_copy(0, rows, part.clamp(-1, 1))


def _recolour(x: Tensor, parameters: AugmentationParameters) -> Tensor:
    rows = parameters.is_recoloured.nonzero()[:, 0]
    if not len(rows):
        return x
    matrix = copy_to(x.device, parameters.to_colour()[rows])[..., None, None]
    rows = copy_to(x.device, rows)
    part = x[rows]
    # Not a product of matrices, whose rounding depends on their number, and on a GPU on TF32.
    red, green, blue = (matrix[:, :, i] * part[:, i : i + 1] for i in range(RGB))
    return x.index_copy(0, rows, red + green + blue)


def _light(x: Tensor, parameters: AugmentationParameters) -> Tensor:
    rows = parameters.is_lit.nonzero()[:, 0]
    if not len(rows):
        return x
    factor, offset = (copy_to(x.device, t[rows, None, None, None]) for t in parameters.to_light())
    rows = copy_to(x.device, rows)
    return x.index_copy(0, rows, x[rows] * factor + offset)
