"""Gradient checkpointing: blocks compute their activations again, instead of keeping them.

Chen et al. 2016, arXiv:1604.06174. Of each block only the inputs are kept for the backward pass,
which repeats its forward pass with the same dropout. Gradients stay the same to the last bit.
"""

from contextlib import ExitStack
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
    """Counts the bytes that a forward pass inside it keeps for the backward pass.

    Args:
        network: Whose blocks are counted apart.
        recompute: Whether to count as if its blocks were recomputed: each keeps its inputs alone.

    Attributes:
        blocks: If `recompute`, bytes of the activations of each block, in the order of the calls:
            the backward pass has them again, one block at a time.
    """

    def __init__(self, network: nn.Module, *, recompute: bool) -> None:
        self.blocks: list[int] = []
        self._counted_apart = list_blocks(network) if recompute else []
        self._kept: dict[int, int] = {}
        self._in_block: dict[int, int] = {}
        self._stack = ExitStack()
        self._block_stack = ExitStack()

    def __enter__(self) -> "KeptTensors":
        self._stack.enter_context(saved_tensors_hooks(self._note_kept, lambda tensor: tensor))
        for block in self._counted_apart:
            self._stack.callback(block.register_forward_pre_hook(self._enter_block).remove)
            self._stack.callback(block.register_forward_hook(self._leave_block).remove)
        return self

    def __exit__(self, *problem: object) -> None:
        self._block_stack.close()
        self._stack.close()

    @property
    def bytes(self) -> int:
        """Bytes that are kept until the backward pass, without those of `blocks`."""
        return sum(self._kept.values())

    def _note_kept(self, tensor: Tensor) -> Tensor:
        return _note(tensor, self._kept)

    def _note_in_block(self, tensor: Tensor) -> Tensor:
        return _note(tensor, self._in_block)

    def _enter_block(self, _block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        for tensor in inputs:
            _note(tensor, self._kept)
        self._in_block = {}
        hooks = saved_tensors_hooks(self._note_in_block, lambda tensor: tensor)
        self._block_stack.enter_context(hooks)

    def _leave_block(self, *_: object) -> None:
        self._block_stack.close()
        own = self._in_block.keys() - self._kept.keys()
        self.blocks.append(sum(self._in_block[storage] for storage in own))


def _note(tensor: Tensor, kept: dict[int, int]) -> Tensor:
    """Note the storage of a tensor, once for all that share it; return the tensor."""
    storage = tensor.untyped_storage()
    kept[storage._cdata] = storage.nbytes()
    return tensor
