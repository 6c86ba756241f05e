"""A joint optimizer: several optimizers, each for some of the parameters, used as one."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class JointOptimizer(torch.optim.Optimizer):
    """Several optimizers as one. It has no state of its own.

    Args:
        parts: The optimizers; no parameter belongs to two of them.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        # The constructor of torch.optim.Optimizer would make groups of its own.
        self.parts = tuple(parts)
        self.defaults: dict[str, Any] = {}
        self.param_groups = [group for part in parts for group in part.param_groups]
        owners = {
            id(p): part for part in parts for group in part.param_groups for p in group["params"]
        }
        self.state = _JointState(owners)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Discard all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none)

    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update all parameters."""
        for part in self.parts:
            part.step()


class _JointState(defaultdict[Tensor, Any]):
    """The state of each parameter, in whichever optimizer it belongs to."""

    def __init__(self, owners: dict[int, torch.optim.Optimizer]) -> None:
        super().__init__()
        self._owners = owners

    def __getitem__(self, parameter: Tensor) -> Any:
        return self._owners[id(parameter)].state[parameter]
