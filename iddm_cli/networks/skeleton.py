"""Networks without initial weights: for their shapes alone, or where a file holds the weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

RANDOM_FILLS = frozenset(
    {
        nn.init.normal_,
        nn.init.uniform_,
        nn.init.trunc_normal_,
        nn.init.kaiming_uniform_,
        Tensor.normal_,
        Tensor.uniform_,
    }
)
"""How layers sample their weights: as torch reports it to modes, the outermost call first."""


class SkipInitialWeights(TorchFunctionMode):
    """New layers leave their weights as they were allocated, and sample no numbers for them."""

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        """Return what a function of torch returns; of a random fill, its tensor unchanged."""
        kwargs = kwargs or {}
        if func in RANDOM_FILLS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Build networks inside without memory: their parameters have shapes, and no storage.

    Even there, torch would sample initial weights, and import its compiler to do so, which takes as
    long as importing torch itself.
    """
    with torch.device("meta"), SkipInitialWeights():
        yield
