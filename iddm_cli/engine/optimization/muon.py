"""Muon: momentum whose updates are orthogonal matrices, for the hidden weights of a network."""

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from iddm_cli.engine.optimization.never_compiled import NeverCompiled
from iddm_cli.networks.augmentation import AugmentationEmbedding

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic polynomial that moves all singular values towards 1 (Jordan et al. 2024, "Muon",
section on Newton-Schulz coefficients): after five iterations they lie within about [0.7, 1.2]."""

ITERATIONS = 5
TINY = 1e-7


def orthogonalize(matrices: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Return approximately the nearest matrices whose singular values are all 1.

    Newton-Schulz iterations of X -> a X + (b A + c A^2) X with A = X X^T (Jordan et al. 2024; also
    torch.optim.Muon). They need no decomposition, and few digits.

    Args:
        matrices: [N, rows, columns].
        dtype: The type to compute in.

    Returns:
        The same shape, in `dtype`; zero where a matrix is zero.
    """
    a, b, c = COEFFICIENTS
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    norm = torch.linalg.matrix_norm(matrices.float(), keepdim=True).clamp(min=TINY)
    x = (matrices / norm).to(dtype)
    if is_tall:
        x = x.mT
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x


class Muon(NeverCompiled, torch.optim.Optimizer):
    """Muon (Jordan et al. 2024), with Nesterov momentum and decoupled weight decay.

    A convolution's weight, [out, in, height, width], is the matrix [out, in * height * width]. The
    update is scaled by sqrt(max(1, rows / columns)), as the original does.

    Args:
        parameters: Weights of two dimensions or more.
        lr: Learning rate: the size of an update in singular values.
        momentum: Share of the old momentum that is kept, in [0, 1).
        weight_decay: Share of the weight that an update of lr 1 removes.
        dtype: What the iterations compute in.

    Attributes:
        found_inf: 1 where the next update must change nothing, else 0: a scalar, float32; None: no
            update is skipped. The host does not wait for its device to read it.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype
        self.found_inf: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update the parameters that have a gradient."""
        if self.found_inf is not None and self.found_inf.device.type == "cpu":
            if bool(self.found_inf):
                return
            self.found_inf = None
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    rows = parameter.shape[0]
                    by_shape[rows, parameter.numel() // rows].append(parameter)
            for shape, parameters in by_shape.items():
                self._update(shape, parameters, group)

    def _update(
        self, shape: tuple[int, int], parameters: list[Tensor], group: dict[str, float]
    ) -> None:
        """Update all parameters that are matrices of one shape."""
        rows, columns = shape
        moved = [self._accumulate(parameter, group["momentum"]) for parameter in parameters]
        full = torch.stack([_full_tensor(update).reshape(shape) for update in moved])
        rate = group["lr"] * math.sqrt(max(1, rows / columns))
        for parameter, update in zip(parameters, orthogonalize(full, self.dtype), strict=True):
            change = update.to(parameter.dtype).reshape(parameter.shape)
            new = parameter * (1 - group["lr"] * group["weight_decay"])
            parameter.copy_(self._unless_skipped(parameter, new - rate * _shard(change, parameter)))

    def _accumulate(self, parameter: Tensor, momentum: float) -> Tensor:
        """Add a gradient to its momentum, and return Nesterov's look ahead."""
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer = state["momentum_buffer"]
        buffer.copy_(self._unless_skipped(buffer, buffer.lerp(gradient, 1 - momentum)))
        return gradient.lerp(buffer, momentum)

    def _unless_skipped(self, old: Tensor, new: Tensor) -> Tensor:
        return new if self.found_inf is None else torch.where(self.found_inf > 0, old, new)


def _full_tensor(tensor: Tensor) -> Tensor:
    """Return all of a tensor, of which FSDP keeps a shard in each process."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _shard(tensor: Tensor, like: Tensor) -> Tensor:
    """Return a tensor, sharded as another one is."""
    if not hasattr(like, "device_mesh"):
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    # Every process has computed the same, so nobody has to send anything.
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def split_hidden(backbone: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Return the hidden weights of a backbone, and all its other parameters.

    Hidden weights are matrices between features: neither vectors, nor tables of classes, nor the
    map of augmentation, nor the layers that read and write images (`edge_layers`), for which Muon
    is not meant.
    """
    others = [*backbone.edge_layers(), *_list_embeddings(backbone)]  # type: ignore[operator]
    excluded = {id(parameter) for layer in others for parameter in layer.parameters()}
    hidden: list[Tensor] = []
    rest: list[Tensor] = []
    for parameter in filter(lambda each: each.requires_grad, backbone.parameters()):
        is_hidden = parameter.dim() >= 2 and id(parameter) not in excluded
        (hidden if is_hidden else rest).append(parameter)
    return hidden, rest


def _list_embeddings(backbone: nn.Module) -> list[nn.Module]:
    kinds = (nn.Embedding, AugmentationEmbedding)
    return [module for module in backbone.modules() if isinstance(module, kinds)]
