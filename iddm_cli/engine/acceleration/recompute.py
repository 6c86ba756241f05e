"""Gradient checkpointing: blocks compute their activations again, instead of keeping them.

Chen et al. 2016, arXiv:1604.06174. Of each block only the inputs are kept for the backward pass,
which repeats its forward pass with the same dropout. Gradients stay the same to the last bit.
"""

from functools import partial

from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from iddm_cli.distributed.group import HasUnits


def list_blocks(backbone: nn.Module) -> list[nn.Module]:
    """Return the residual blocks and attentions of a network; none where it does not name them."""
    return backbone.units() if isinstance(backbone, HasUnits) else []


def recompute_blocks(backbone: nn.Module) -> None:
    """Let each block keep its inputs alone, and compute the rest again in the backward pass.

    Names and values of the parameters do not change, and a copy of the network does the same.
    """
    for block in list_blocks(backbone):
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


class KeptTensors:
    """Counts the bytes that a forward pass keeps for the backward pass.

    Args:
        network: What is counted; its parameters are not.
        recompute: Whether its blocks are as after `recompute_blocks`: each keeps its inputs alone,
            and one block at a time has its activations again.
    """

    def __init__(self, network: nn.Module, *, recompute: bool) -> None:
        self._parameters = {p.untyped_storage().data_ptr() for p in network.parameters()}
        self._kept: dict[int, int] = {}
        self._in_block: dict[int, int] = {}
        self._largest_block = 0
        self._hooks = [saved_tensors_hooks(self._note_kept, lambda tensor: tensor)]
        self._handles = []
        blocks = list_blocks(network) if recompute else []
        for block in blocks:
            self._handles.append(block.register_forward_pre_hook(self._enter_block))
            self._handles.append(block.register_forward_hook(self._leave_block))

    def __enter__(self) -> "KeptTensors":
        self._hooks[0].__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._hooks[0].__exit__(*problem)
        for handle in self._handles:
            handle.remove()

    @property
    def bytes(self) -> int:
        """Bytes that are kept, with the activations of the largest block that is recomputed."""
        return sum(self._kept.values()) + self._largest_block

    def _note_kept(self, tensor: Tensor) -> Tensor:
        self._note(tensor, self._kept)
        return tensor

    def _note_in_block(self, tensor: Tensor) -> Tensor:
        self._note(tensor, self._in_block)
        return tensor

    def _note(self, tensor: Tensor, kept: dict[int, int]) -> None:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._parameters:
            kept[storage.data_ptr()] = storage.nbytes()

    def _enter_block(self, _block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        for tensor in inputs:
            self._note(tensor, self._kept)
        self._in_block = {}
        self._hooks.append(saved_tensors_hooks(self._note_in_block, lambda tensor: tensor))
        self._hooks[-1].__enter__()

    def _leave_block(self, *_: object) -> None:
        self._hooks.pop().__exit__()
        own = self._in_block.keys() - self._kept.keys()
        size = sum(self._in_block[pointer] for pointer in own)
        self._largest_block = max(self._largest_block, size)
