"""Low-rank adapters (LoRA, Hu et al. 2021, arXiv:2106.09685): small changes to a frozen network.

Every convolution and linear layer computes with W + B A (their equation 3 with alpha = r, so that
the scale alpha / r is 1), where A has `rank` rows and B as many columns. B starts at zero, so that
the network starts as the frozen one. A convolution's weight is taken as a matrix whose rows are its
output channels. Classes that are new have rows of their own in the class table, trained in full.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

PARAMETRIZED = "parametrizations.weight."
"""What torch puts between the name of a layer and that of what its weight is computed from."""

ORIGINAL, DOWN, UP, ROWS, LABELS = "original", "0.down", "0.up", "0.rows", "0.labels"


class LowRankUpdate(nn.Module):
    """Adds B A to a weight.

    Args:
        weight: The weight, [O, ...].
        rank: Rows of A and columns of B; at most as many as the weight has.

    Attributes:
        down: A, [rank, I].
        up: B, [O, rank].
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.flatten(1).shape
        rank = min(rank, rows, columns)
        self.down = nn.Parameter(torch.randn(rank, columns) / columns**0.5)
        self.up = nn.Parameter(torch.zeros(rows, rank))
        self.to(weight.device)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer computes with."""
        with torch.autocast(weight.device.type, enabled=False):
            return add_low_rank(weight, self.down, self.up)


class NewRows(nn.Module):
    """Replaces rows of a class table by others.

    Args:
        table: The table, [K + 1, D].
        labels: Which rows are replaced.

    Attributes:
        rows: The rows, [N, D].
        labels: Which rows they replace, [N], int64.
    """

    labels: Tensor

    def __init__(self, table: Tensor, labels: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("labels", torch.tensor(labels, device=table.device))
        self.rows = nn.Parameter(table.detach()[self.labels].clone())

    def forward(self, table: Tensor) -> Tensor:
        """Return the table with its new rows."""
        return replace_rows(table, self.rows, self.labels)


def add_low_rank(weight: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """Return W + B A, shaped as W."""
    return weight + (up @ down).view(weight.shape)


def replace_rows(table: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
    """Return a table with some of its rows replaced."""
    return table.index_copy(0, labels, rows)


def add_adapters(network: nn.Module, rank: int, new_labels: Sequence[int]) -> None:
    """Freeze a network, and give adapters to its convolutions and linear layers.

    Args:
        network: The network, which holds the weights that stay.
        rank: Rank of each adapter.
        new_labels: Classes whose rows of the class table are trained in full.
    """
    network.requires_grad_(False)
    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    for layer in layers:
        _parametrize(layer, LowRankUpdate(layer.weight, rank))
    table = network.class_table()  # type: ignore[operator]
    if table is not None and new_labels:
        _parametrize(table, NewRows(table.weight, new_labels))


def _parametrize(layer: nn.Module, computed: nn.Module) -> None:
    parametrize.register_parametrization(layer, "weight", computed, unsafe=True)


def merge_adapters(base: dict[str, Tensor], adapters: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a plain network that computes what a frozen one does with adapters.

    Args:
        base: The weights of the frozen network.
        adapters: Those of its adapters, by their names in the network that was trained.
    """
    merged = dict(base)
    for name, tensor in adapters.items():
        layer, _, part = name.partition(PARAMETRIZED)
        weight = f"{layer}weight"
        if part == UP:
            down = adapters[f"{layer}{PARAMETRIZED}{DOWN}"]
            merged[weight] = add_low_rank(base[weight], down, tensor)
        elif part == ROWS:
            labels = adapters[f"{layer}{PARAMETRIZED}{LABELS}"]
            merged[weight] = replace_rows(base[weight], tensor, labels)
    return merged
