"""Weights on a disk that need no disk."""

import torch


class FakeWeights:
    """Weights of step 7 whose tensors are 1 for the EMA and 2 for the trained ones."""

    step = 7

    def read(self, part, like):
        value = {"average": 1.0, "model": 2.0}[part]
        return {name: torch.full(tensor.shape, value) for name, tensor in like.items()}
