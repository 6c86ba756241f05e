"""The noise of generated images: which item of the random numbers belongs to an image.

`randomness.normal` turns (seed, purpose, item, step) into noise. The item of an image is its noise
index:

    noise index = index                                        the same noise for every class
    noise index = (index + 2654435769 * label) mod 2^32        own noise for each class

The factor is 2^32 divided by the golden ratio, so that the classes are spread evenly over the 2^32
items: of K classes, any two are at least 2^32 / (sqrt(5) K) items apart (about 1.9 billion / K), so
that no two images of a data set share their noise. Class 0 has the same noise by both rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.engine import randomness

PURPOSE = "sample"
"""Of the noise of generated images."""

ITEMS = 2**32
SPREAD = 2_654_435_769
"""2^32 divided by the golden ratio (Knuth, The Art of Computer Programming, volume 3, 6.4)."""


def own_noise_index(label: int, index: int) -> int:
    """Return the noise index of an image that shares its noise with no other class."""
    return (index + SPREAD * label) % ITEMS


@dataclass(frozen=True)
class NoisePath:
    """A point on the spherical path between the noises of two images.

    Attributes:
        start: Noise index at the start of the path.
        end: Noise index at its end.
        position: From 0 (start) to 1 (end).
    """

    start: int
    end: int
    position: float


def sample_noise(
    seed: int,
    purpose: str,
    *,
    items: Sequence[int | NoisePath],
    step: int,
    shape: tuple[int, ...],
    device: torch.device,
) -> Tensor:
    """Return standard normal noise for each image, [B, *shape], float32.

    Args:
        seed: Random seed.
        purpose: A word, see `randomness`.
        items: The noise index of each image, or its point between two.
        step: The solver step; 0 for the noise that sampling starts from.
        shape: Shape of the noise of one image.
        device: Device of the noise.
    """
    paths = [item if isinstance(item, NoisePath) else NoisePath(item, item, 0.0) for item in items]

    def noise_of(indices: list[int]) -> Tensor:
        index = torch.tensor(indices, device=device)
        return randomness.normal(seed, purpose, items=index, step=step, shape=shape)

    start = noise_of([path.start for path in paths])
    if all(path.position == 0 for path in paths):
        return start
    position = torch.tensor([path.position for path in paths], device=device)
    return interpolate_spherically(start, noise_of([path.end for path in paths]), position)


def interpolate_spherically(start: Tensor, end: Tensor, position: Tensor) -> Tensor:
    """Return points on the great circles between noises (slerp; Shoemake 1985, section 3.3).

    White, Sampling generative networks (arXiv:1609.04468, section 2.1): a straight path would cross
    lengths that noise of so many dimensions never has. Both ends are exact.

    Args:
        start: The noises at position 0, [B, ...].
        end: The noises at position 1, other ones, [B, ...].
        position: From 0 to 1, [B].
    """
    a, b = start.double().flatten(1), end.double().flatten(1)
    cosine = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    angle = cosine.clamp(-1, 1).acos()[:, None]
    share = position.double()[:, None]
    first, second = ((1 - share) * angle).sin() / angle.sin(), (share * angle).sin() / angle.sin()
    return (first * a + second * b).float().view_as(start)
