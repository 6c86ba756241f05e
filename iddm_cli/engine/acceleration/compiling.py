"""Compiling the blocks of a network for training, each by itself (regional compilation).

Blocks of equal shape share their kernels, so that a network compiles in a fraction of the time of
the whole. PyTorch keeps the kernels in the cache, where the next run finds them. What is not
compiled is everything else: the EMA, sampling, evaluations and exports.
"""

import copy
import importlib.util
import os
from collections.abc import Callable

import torch
from torch import Tensor, nn

from iddm_cli.data.cache import compiled_folder
from iddm_cli.engine.acceleration.recompute import list_blocks
from iddm_cli.errors import first_line
from iddm_cli.notices import notify_once

SHORTEST_COMPILED_RUN = 5000
"""Steps from which runtime.compile: auto compiles on a GPU: compiling takes a minute or two."""

VARIANTS = 4
"""How often a block may be compiled: for full and for smaller micro-batches, twice each."""

Forward = Callable[..., Tensor]


def should_compile(setting: str, device: torch.device, steps: int) -> bool:
    """Return whether the blocks of a network are to be compiled.

    Args:
        setting: runtime.compile: auto, none or blocks.
        device: Where it is trained.
        steps: Steps of the whole training. They are the same after a resume, and so is the answer.
    """
    if setting != "auto":
        return setting == "blocks"
    return device.type == "cuda" and steps >= SHORTEST_COMPILED_RUN and _has_triton(device)


def _has_triton(device: torch.device) -> bool:
    """Return whether PyTorch can compile for a GPU: Triton is there, and knows the GPU."""
    found = importlib.util.find_spec("triton") is not None
    return found and torch.cuda.get_device_capability(device) >= (7, 0)


def find_compiler_problem(device: torch.device) -> str | None:
    """Return why nothing can be compiled for a device, found out by trying; None if it can."""
    try:
        numbers = torch.ones(8, device=device, requires_grad=True)
        compiled = torch.compile(_try_out, dynamic=False)
        compiled(numbers).sum().backward()
    except (RuntimeError, OSError, ImportError) as error:
        return first_line(error)
    return None


def _try_out(numbers: Tensor) -> Tensor:
    return nn.functional.silu(2 * numbers)


def use_cache() -> None:
    """Let PyTorch keep compiled kernels in iddm's cache, unless the user chose another folder.

    Raises:
        DatasetError: There is no folder for the cache.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(compiled_folder(torch.__version__)))


def is_compile_error(error: BaseException) -> bool:
    """Return whether an error means that something could not be compiled."""
    from torch._dynamo.exc import TorchDynamoException

    return isinstance(error, TorchDynamoException)


class CompiledBlocks:
    """The blocks of a network, compiled where they are.

    Names and values of the parameters do not change; a copy of the network is not compiled.

    Args:
        backbone: The network.
        device: Where it computes.

    Attributes:
        active: Whether the blocks compute what was compiled.
    """

    def __init__(self, backbone: nn.Module, device: torch.device) -> None:
        self.active = False
        blocks = list_blocks(backbone)
        if not blocks:
            return
        use_cache()
        if problem := find_compiler_problem(device):
            self.stop(problem)
            return
        from torch._dynamo import config

        limit = VARIANTS * len(blocks)
        config.recompile_limit = max(config.recompile_limit, limit)
        config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, limit)
        for block in blocks:
            block.forward = CompiledForward(block.forward, self)
        self.active = True
        notify_once(
            "compiling the network's blocks, which takes a minute or more the first time; "
            "runtime.compile=none does without"
        )

    def stop(self, problem: str) -> None:
        """Compute without what was compiled from now on, and report why."""
        self.active = False
        notify_once(
            f"the network's blocks could not be compiled ({problem}), so training is slower; "
            "runtime.compile=none does without trying",
            key="compiling",
        )


class CompiledForward:
    """The forward method of a block, compiled; a copy of the block has the method itself.

    Args:
        forward: The method.
        blocks: Decide whether the compiled method is called.
    """

    def __init__(self, forward: Forward, blocks: CompiledBlocks) -> None:
        self.forward = forward
        self.compiled = torch.compile(forward, dynamic=False)
        self.blocks = blocks

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return what the method returns."""
        return self.compiled(*inputs) if self.blocks.active else self.forward(*inputs)

    def __deepcopy__(self, memo: dict[int, object]) -> Forward:
        """Return the copied block's method."""
        return copy.deepcopy(self.forward, memo)
