"""Weights of a network that grows with its images: more levels outside, larger patches.

A network with larger patches computes what the old one did where an image is the enlarged one that
the old network knows; besides the averages, its first layer reads details, with weights that are
untrained. One with more levels keeps all levels it had, the
innermost as the innermost, and the first layer; new levels and the last layer start untrained, so
that it answers zero at first, as an untrained network does.

What was tried, and learns more slowly: new levels that start by passing on what they get (averages
on the way down, repeated on the way up), and larger patches of which only averages are read at
first.
"""

import re

from torch import Tensor, nn

from iddm_cli.networks.transferring.weight_transfer import find_name
from iddm_cli.networks.unet import UNet

FROM_OUTSIDE = re.compile(r"^(down|downsample)\.(\d+)\.")
"""Parts of a U-Net that are numbered from the outermost level; others begin at the innermost."""

BLOCK = re.compile(r"^(down|up)\.\d+\.blocks\.\d+\.")


def grow_patches(weights: dict[str, Tensor], new: nn.Module, factor: int) -> dict[str, Tensor]:
    """Return the weights of a network whose patches have sides that are `factor` times as long.

    For images whose pixels are repeated over squares of that side, it answers with what the old
    network answers for the pixels, repeated alike.

    Args:
        weights: The old network's weights, by name.
        new: The new network, untrained.
        factor: Factor of the side of patches.
    """
    edges = new.edge_layers()  # type: ignore[operator]
    first, last = find_name(new, edges[0]), find_name(new, edges[-1])
    side: int = new.patch_size // factor  # type: ignore[assignment, operator]
    grown = dict(weights)
    name = f"{first}.weight"
    averages = _repeat_pixels(weights[name], side, factor, dim=1) / factor**2
    grown[name] = averages + _select_details(edges[0].weight.detach(), side, factor)
    for name in (f"{last}.weight", f"{last}.bias"):
        grown[name] = _repeat_pixels(weights[name], side, factor, dim=0)
    return grown


def _repeat_pixels(weight: Tensor, side: int, factor: int, *, dim: int) -> Tensor:
    """Repeat the rows and columns of patches, which a dimension of C * side * side lists."""
    pixels = weight.unflatten(dim, (-1, side, side))
    for axis in (dim + 1, dim + 2):
        pixels = pixels.repeat_interleave(factor, dim=axis)
    return pixels.flatten(dim, dim + 2)


def _select_details(weight: Tensor, side: int, factor: int) -> Tensor:
    """Return weights that read patches, less their means over squares of pixels."""
    pixels = weight.unflatten(1, (-1, side, factor, side, factor))
    return (pixels - pixels.mean((3, 5), keepdim=True)).flatten(1, 5)


def add_levels(weights: dict[str, Tensor], new: UNet, levels: int) -> dict[str, Tensor]:
    """Return the weights of a U-Net with more levels outside, around those of an old one.

    A block beside the new levels stays untrained where it has another number of channels.

    Args:
        weights: The old network's weights, by name.
        new: The new network, untrained.
        levels: Number of its levels that the old one did not have.
    """
    grown = {name: tensor.clone() for name, tensor in new.state_dict().items()}
    kept = {_shift_name(name, levels): tensor for name, tensor in weights.items()}
    output = find_name(new, new.edge_layers()[-1])
    differing = {
        _find_block(name) for name, tensor in kept.items() if grown[name].shape != tensor.shape
    }
    for name, tensor in kept.items():
        if not name.startswith(f"{output}.") and _find_block(name) not in differing:
            grown[name] = tensor
    return grown


def _shift_name(name: str, levels: int) -> str:
    """Return the name that a tensor of the old network has in the new one."""
    return FROM_OUTSIDE.sub(lambda found: f"{found[1]}.{int(found[2]) + levels}.", name)


def _find_block(name: str) -> str:
    """Return the block that a tensor belongs to, or its own name where it belongs to none."""
    found = BLOCK.match(name)
    return found[0] if found else name
