"""Weights of a trained network, adapted to one with other classes or another number of channels.

The new network computes what the old one did: for each class that both have, and, between grey and
colour, for grey images. Everything else of both networks is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from iddm_cli.networks.augmentation import find_augmentation


@dataclass(frozen=True)
class ClassMapping:
    """Which rows of the old class table the classes of the new network start from.

    Attributes:
        rows: For each class of the new network, its label in the old one; None: it is new.
        knows_no_label: Whether the old network was trained without labels as well.
    """

    rows: Sequence[int | None]
    knows_no_label: bool = True

    @property
    def has_new(self) -> bool:
        """Whether a class of the new network is new."""
        return None in self.rows


def adapt_weights(
    weights: dict[str, Tensor],
    old: nn.Module,
    new: nn.Module,
    mapping: ClassMapping,
    channels: tuple[int, int],
    conditions: tuple[int, int] = (0, 0),
    fresh_rows: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the weights of a new network that computes what the old one did.

    Args:
        weights: The old network's weights, by name.
        old: The old network; only its structure matters.
        new: The new network; only its structure matters.
        mapping: Where the rows of its class table come from.
        channels: Channels of the images of the old and of the new network; equal, or one is 1.
        conditions: Condition channels of both, which a network reads after those of the image.
            Those that the old one lacks are read with weights of 0 at first.
        fresh_rows: The class table of the new network, untrained, [K or K + 1, D], of mean 0, for
            classes that are new; None: there are none.
    """
    adapted = _adapt_classes(dict(weights), old, new, mapping, fresh_rows)
    _adapt_augmentation(adapted, old, new)
    if channels[0] != channels[1] or conditions[0] != conditions[1]:
        _adapt_inputs(adapted, new, channels, conditions)
    if channels[0] != channels[1]:
        _adapt_outputs(adapted, new, *channels)
    return adapted


def _adapt_classes(
    weights: dict[str, Tensor],
    old: nn.Module,
    new: nn.Module,
    mapping: ClassMapping,
    fresh_rows: Tensor | None,
) -> dict[str, Tensor]:
    """Return weights with the class table of the new network, or without one.

    Of a network that had no table, "no label" starts as a row of zeros, which adds nothing. One
    that loses its table keeps what it computed without a label, where that is a bias.
    """
    before, after = old.class_table(), new.class_table()  # type: ignore[operator]
    rows = weights.pop(f"{find_name(old, before)}.weight") if before is not None else None
    if after is not None:
        name = f"{find_name(new, after)}.weight"
        weights[name] = _choose_rows(rows, after.weight.shape, mapping, fresh_rows)
    elif rows is not None and (bias := find_class_bias(new)) is not None:
        weights[bias] = weights[bias] + (rows[-1] if mapping.knows_no_label else rows[:-1].mean(0))
    return weights


def _choose_rows(
    rows: Tensor | None, shape: torch.Size, mapping: ClassMapping, fresh_rows: Tensor | None
) -> Tensor:
    """Return the new class table, [count, D], whose last row means "no label" if the old one's did.

    A new class gets an untrained row, as far from the others as they are from each other. Training
    moves rows little, so the row tells its images from others from the first step on; a class that
    started from the row of "no label", or from the mean of the others, would be mistaken for them.

    Args:
        rows: The old class table, [K or K + 1, D]; None: there was none.
        shape: Shape of the new one.
        mapping: Where its rows come from.
        fresh_rows: Untrained rows.
    """
    table = torch.zeros(shape)
    if mapping.has_new:
        assert fresh_rows is not None, "new classes need rows"
        table = fresh_rows.to(table)
        if rows is not None:
            centre, spread = _describe_spread(rows)
            table = centre + spread * table / table.square().mean().sqrt()
    for label, row in enumerate(mapping.rows):
        if row is not None:
            assert rows is not None, "a class that is not new had a row"
            table[label] = rows[row]
    if shape[0] > len(mapping.rows):
        table[-1] = 0.0 if rows is None else rows[-1]
    return table


def _describe_spread(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of all rows, [D], and how far they are from it, as a root mean square."""
    centre = rows.mean(0)
    if len(rows) == 1:
        return torch.zeros_like(centre), rows.square().mean().sqrt()
    return centre, ((rows - centre).square().sum(0) / (len(rows) - 1)).mean().sqrt()


def _adapt_augmentation(weights: dict[str, Tensor], old: nn.Module, new: nn.Module) -> None:
    """Keep, add or drop the layer for augmentation, which adds nothing to unchanged images.

    Of grey and colour, the conditions that both have come first.
    """
    before, after = find_augmentation(old), find_augmentation(new)
    known = weights.pop(f"{find_name(old, before)}.weight") if before is not None else None
    if after is None:
        return
    weight = torch.zeros(after.weight.shape)
    if known is not None:
        count = min(known.shape[1], weight.shape[1])
        weight[:, :count] = known[:, :count]
    weights[f"{find_name(new, after)}.weight"] = weight


def _adapt_inputs(
    weights: dict[str, Tensor],
    new: nn.Module,
    channels: tuple[int, int],
    conditions: tuple[int, int],
) -> None:
    """Adapt the first layer to other channels of the image, or other condition channels.

    From grey to colour, each channel gets an equal share of the weights; from colour to grey, they
    are summed.
    """
    name = f"{find_name(new, new.edge_layers()[0])}.weight"  # type: ignore[operator]
    before, after = channels
    inputs = weights[name].unflatten(1, (before + conditions[0], -1))  # [O, C + N, patch, ...]
    image, condition = inputs[:, :before], inputs[:, before:]
    others = [1] * (inputs.dim() - 2)
    if before != after:
        image = (image.sum(1, keepdim=True) / after).repeat(1, after, *others)
    if conditions[0] != conditions[1]:
        condition = torch.zeros_like(inputs[:, :1]).repeat(1, conditions[1], *others)
    weights[name] = torch.cat([image, condition], dim=1).flatten(1, 2)


def _adapt_outputs(weights: dict[str, Tensor], new: nn.Module, before: int, after: int) -> None:
    """Adapt the last layer to another number of channels: to the same weights, or their mean."""
    last = find_name(new, new.edge_layers()[-1])  # type: ignore[operator]
    for name in (f"{last}.weight", f"{last}.bias"):
        if name in weights:
            outputs = weights[name].unflatten(0, (before, -1)).mean(0)  # [patch, ...]
            weights[name] = outputs.repeat(after, *[1] * (outputs.dim() - 1))


def find_name(network: nn.Module, module: nn.Module) -> str:
    """Return the name of a module inside a network."""
    return next(name for name, each in network.named_modules() if each is module)


def find_class_bias(network: nn.Module) -> str | None:
    """Return the name of the bias that the class table's rows are added to, or None."""
    bias = network.class_bias()  # type: ignore[operator]
    return next((name for name, each in network.named_parameters() if each is bias), None)
