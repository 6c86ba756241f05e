"""Optimizers of torch without torch's compiler."""

import inspect
from typing import Any

import torch


class NeverCompiled(torch.optim.Optimizer):
    """An optimizer of torch that does not import torch's compiler.

    torch.optim wraps these methods for the case that torch.compile meets them, and the wrappers
    import torch._dynamo, which takes about as long as importing torch itself. iddm compiles no
    optimizer, so it calls what is inside the wrappers: functools.wraps notes it, and inspect.unwrap
    finds it. A method that a version of torch does not wrap is called as it is.
    """

    def _call_unwrapped(self, name: str, *args: object) -> Any:
        method = getattr(super(NeverCompiled, type(self)), name)
        return inspect.unwrap(method)(self, *args)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, see torch.optim."""
        self._call_unwrapped("add_param_group", param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Discard all gradients, see torch.optim."""
        self._call_unwrapped("zero_grad", set_to_none)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the parameters, see torch.optim."""
        self._call_unwrapped("step", closure)
