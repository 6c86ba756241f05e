"""Memory: an estimate before training starts, and micro-batches where it runs out.

A batch may be computed in any number of parts, since noise, times and labels belong to the slot:
only the last bits of the sum depend on it. So an update that did not fit is repeated in smaller
parts.
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.objectives.adversarial import AdversarialObjective
from iddm_cli.engine.acceleration.recompute import KeptTensors
from iddm_cli.engine.device import DTYPES, autocast
from iddm_cli.machine.memory import used_memory

FLOAT_BYTES = 4

TRAINING_COPIES = 5
"""Numbers that training holds per parameter: weight, gradient, EMA, two optimizer moments."""

CHECKPOINT_COPIES = 4
"""Numbers that a checkpoint holds per parameter: weight, EMA, two optimizer moments."""

TEMPORARIES = 1.3
"""Peak memory of a step, relative to what it keeps for its backward pass; measured as the growth of
a CPU run's resident memory with its batch (1.28 for the demo profile, batch 64 to 256, fp32)."""

DISCRIMINATOR_COPIES = 4
"""Numbers that training holds per parameter of a discriminator, which has no EMA."""

SAVING_COPIES = 6
"""Numbers held per parameter while a checkpoint is written: copies of the weight, the EMA and two
moments; and the bytes of one file after the other."""

PROGRAM = 770 * 10**6
"""Bytes that Python and PyTorch hold, where the system does not say how many they are."""

LOADED_LATER = 45 * 10**6
"""Bytes that PyTorch adds with the first steps: its threads, and code that it loads then."""

LARGE = 2**36
"""Parameters times pixels from which a forward pass is imitated, for it may take minutes or not fit
the memory: a network of 36 million parameters at 44 x 44."""


def training_bytes(parameters: int) -> int:
    """Return the bytes that training holds for its parameters, activations left out."""
    return parameters * FLOAT_BYTES * TRAINING_COPIES


def checkpoint_bytes(parameters: int, judged: int = 0) -> int:
    """Return the bytes of a checkpoint of so many parameters, and of `judged` of a discriminator.

    A discriminator has no EMA.
    """
    return FLOAT_BYTES * (parameters * CHECKPOINT_COPIES + judged * (CHECKPOINT_COPIES - 1))


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training holds at its peak.

    Attributes:
        parameters: Number of trained parameters.
        state: Weights, gradients, EMA and the optimizer's two moments.
        activations: What the backward pass of one micro-batch needs.
        copies: Weights in the lower precision that the network computes in.
        saving: Copies of what a checkpoint holds, while it is written, where they share the
            device's memory.
        data: The images, where they are kept on the device.
        program: Python and PyTorch themselves, where they share the device's memory.
        micro_batch: Images computed at once.
        teacher: Weights of the frozen teacher of a distilled run.
        discriminator: Weights, gradients and moments of an autoencoder's discriminator.
    """

    parameters: int
    state: int
    activations: int
    copies: int
    saving: int
    data: int
    program: int
    micro_batch: int
    teacher: int = 0
    discriminator: int = 0

    @property
    def total(self) -> int:
        """The sum of all parts."""
        networks = (self.state, self.teacher, self.discriminator)
        held = (*networks, self.activations, self.copies, self.saving)
        return sum(held) + self.data + self.program

    @property
    def checkpoint(self) -> int:
        """Bytes of a checkpoint."""
        judged = self.discriminator // (FLOAT_BYTES * DISCRIMINATOR_COPIES)
        return checkpoint_bytes(self.parameters, judged)

    @property
    def per_image(self) -> float:
        """Bytes that one more image in a micro-batch takes."""
        return self.activations / self.micro_batch


def estimate_memory(
    denoiser: Denoiser,
    *,
    shape: tuple[int, int, int],
    micro_batch: int,
    precision: str,
    data: int,
    on_cpu: bool,
    recompute: bool = False,
    with_teacher: bool = False,
    adversarial: AdversarialObjective | None = None,
) -> MemoryEstimate:
    """Estimate the memory of a training from what the loss keeps for its backward pass.

    Args:
        denoiser: The denoiser, on the CPU.
        shape: Channels, height and width of what the network reads.
        micro_batch: Images computed at once.
        precision: fp32, bf16 or fp16.
        data: Bytes of images held on the device.
        on_cpu: Whether training runs on the CPU.
        recompute: Whether blocks compute their activations again in the backward pass.
        with_teacher: Whether a frozen copy of the network teaches; what it computes is not kept.
        adversarial: The objective of an autoencoder with a discriminator; None: there is none.
    """
    parameters = count_parameters(denoiser)
    judged = count_parameters(adversarial.discriminator) if adversarial else 0
    kept = measure_kept(denoiser, shape, precision, adversarial=adversarial)
    per_image = TEMPORARIES * kept
    if recompute:
        # Temporaries belong to what is computed, whether or not it is kept.
        again = measure_kept(denoiser, shape, precision, recompute=True, adversarial=adversarial)
        saved = kept - again
        per_image -= saved
    return MemoryEstimate(
        parameters=parameters,
        state=training_bytes(parameters),
        activations=micro_batch * round(per_image),
        copies=0 if precision == "fp32" else parameters * DTYPES[precision].itemsize,
        saving=(parameters + judged) * FLOAT_BYTES * SAVING_COPIES if on_cpu else 0,
        data=data,
        program=(used_memory() or PROGRAM) + LOADED_LATER if on_cpu else 0,
        micro_batch=micro_batch,
        teacher=parameters * FLOAT_BYTES if with_teacher else 0,
        discriminator=judged * FLOAT_BYTES * DISCRIMINATOR_COPIES,
    )


def count_parameters(network: nn.Module) -> int:
    """Return the number of a network's parameters."""
    return sum(p.numel() for p in network.parameters())


def measure_kept(
    denoiser: Denoiser,
    shape: tuple[int, int, int],
    precision: str,
    *,
    recompute: bool = False,
    adversarial: AdversarialObjective | None = None,
) -> int:
    """Return the bytes that the loss of one image keeps for its backward pass.

    It is what one more image adds, since copies of weights are kept once for all images. The loss
    is computed; for large networks and images it is imitated by tensors without content.
    """
    parameters = count_parameters(denoiser)
    compute = partial(_compute_loss, denoiser, shape, adversarial)
    keep = partial(_kept_for_backward, denoiser, compute, precision, recompute=recompute)
    if parameters * shape[1] * shape[2] < LARGE:
        fewer, more = (keep(images=n) for n in (1, 2))
    else:
        from torch._subclasses.fake_tensor import FakeTensorMode

        with FakeTensorMode(allow_non_fake_inputs=True):
            # A single image is computed by other operators in part.
            fewer, more = (keep(images=n) for n in (2, 3))
    blocks = (b - a for a, b in zip(fewer.blocks, more.blocks, strict=True))
    return more.bytes - fewer.bytes + max(blocks, default=0)


def _kept_for_backward(
    denoiser: Denoiser,
    compute: Callable[[int], Tensor],
    precision: str,
    *,
    images: int,
    recompute: bool,
) -> KeptTensors:
    """Return the tensors that the loss of some images keeps for its backward pass."""
    with (
        KeptTensors(denoiser.backbone, recompute=recompute) as kept,
        autocast(torch.device("cpu"), precision),
    ):
        loss = compute(images)
    del loss
    return kept


def _compute_loss(
    denoiser: Denoiser,
    shape: tuple[int, int, int],
    adversarial: AdversarialObjective | None,
    images: int,
) -> Tensor:
    """Return the loss of some images, with that of a discriminator if there is one."""
    x = torch.zeros(images, *shape)
    some = torch.zeros(images, dtype=torch.int64)
    noise = torch.zeros_like(denoiser.split_condition(x)[0])
    if adversarial is None:
        return denoiser.loss(x, some, noise, some)
    start = adversarial.start
    return adversarial.losses(denoiser, x, some, noise, some, target=denoiser, step=start)


class MicroBatch:
    """The number of images that this process computes at once.

    Args:
        requested: training.micro_batch of the profile; None: the whole share.
        share: Number of this process's slots in a batch.
        chosen: The size that suits the memory that is free now; None: what is requested.
        most: The largest size that all of the memory could hold; None: the present one.

    Attributes:
        size: The present micro-batch size.
    """

    def __init__(
        self,
        requested: int | str | None,
        share: int,
        *,
        chosen: int | None = None,
        most: int | None = None,
    ) -> None:
        self.requested = requested
        self.share = share
        self.size = min(requested, share) if isinstance(requested, int) else chosen or share
        self.most = min(share, max(self.size, most or 0))

    def split(self, slots: Tensor) -> tuple[Tensor, ...]:
        """Return the slots in parts of at most `size`, [B] each."""
        return slots.split(self.size)

    def halve(self) -> bool:
        """Halve the size; return False where it is 1 already."""
        if self.size == 1:
            return False
        self.size = (self.size + 1) // 2
        return True

    def state_dict(self) -> dict[str, object]:
        """Return the size and what it was found for, so that a resume computes the same bits."""
        return {"asked": self.requested, "share": self.share, "size": self.size}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Restore a size that was found before.

        Not where the profile or the share has changed, or where it would not fit this machine.
        """
        size = state.get("size")
        same = state.get("asked") == self.requested and state.get("share") == self.share
        if same and isinstance(size, int) and 1 <= size <= self.most:
            self.size = size


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that the device's memory is full."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    # The CPU's allocator has no error type of its own.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def release_memory(device: torch.device) -> None:
    """Release the memory of an update that was aborted."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
