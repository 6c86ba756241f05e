"""What `iddm bench` measures: training and sampling of a profile, with any number of images."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.speed.sampling_probe import build_short_generator, choose_specs
from iddm_cli.build.speed.variants import Kind, Variant
from iddm_cli.build.trainer import build_train_step
from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.engine import randomness
from iddm_cli.engine.device import free_memory
from iddm_cli.engine.memory import LOADED_LATER, MemoryEstimate, MicroBatch, estimate_memory
from iddm_cli.engine.monitoring.step_timing import synchronize
from iddm_cli.engine.train_step import TrainStep
from iddm_cli.machine.memory import used_memory
from iddm_cli.profiles.profile import ResolvedProfile

SYNTHETIC_IMAGES = 64
"""Number of images of noise, which are repeated: their content changes no time."""

SEED = 0

FREE_SHARE = 0.8
"""Share of the free memory that a variant may take."""


@dataclass(frozen=True)
class Workload:
    """What is computed, on what.

    Attributes:
        profile: The profile.
        num_classes: Number of classes.
        device: The device.
        loader: The images; None makes images of noise.
        program: Bytes that Python and PyTorch held before anything was computed.
    """

    profile: ResolvedProfile
    num_classes: int
    device: torch.device
    loader: BatchLoader | None = None
    program: int = field(default_factory=used_memory)

    def build_loader(self) -> BatchLoader:
        """Return the images."""
        return self.loader or build_synthetic_loader(self.profile, self.num_classes, self.device)


def build_synthetic_loader(
    profile: ResolvedProfile, num_classes: int, device: torch.device
) -> BatchLoader:
    """Build a loader of images of noise, in the shape of a profile."""
    numbers = torch.arange(SYNTHETIC_IMAGES)
    shape = profile.data.diffused_shape
    noise = randomness.normal(SEED, "bench", items=numbers, step=0, shape=shape)
    return BatchLoader(
        MemoryStore((128 + 40 * noise).clamp(0, 255).to(torch.uint8).to(device)),
        numbers % max(1, num_classes),
        batch_size=profile.training.batch_size,
        order=lambda epoch: randomness.permutation(
            SEED, "order", step=epoch, count=SYNTHETIC_IMAGES
        ),
        device=device,
    )


class TimedNetwork:
    """A network in one precision, of which training and sampling can be computed.

    Args:
        workload: What is computed.
        precision: fp32, bf16 or fp16.
    """

    def __init__(self, workload: Workload, precision: str) -> None:
        profile = workload.profile
        self.workload = workload
        self.precision = precision
        self.compute = ComputeContext(workload.device, precision)
        self.train_step: TrainStep = build_train_step(
            profile,
            workload.num_classes,
            workload.build_loader(),
            self.compute,
            micro_batch=MicroBatch(None, profile.training.batch_size),
        )
        denoiser = self.train_step.state.ema.module.eval()
        generator, self.sampling_factor = build_short_generator(
            denoiser, profile, workload.num_classes
        )
        self.generator = generator.with_precision(precision)

    def estimate_memory(self, images: int) -> MemoryEstimate:
        """Return an estimate of the memory of training with so many images at once."""
        on_cpu = self.workload.device.type == "cpu"
        estimate = estimate_memory(
            self.train_step.denoiser,
            shape=self.workload.profile.input_shape,
            micro_batch=images,
            precision=self.precision,
            data=0,
            on_cpu=on_cpu,
        )
        program = self.workload.program + LOADED_LATER if on_cpu else 0
        return replace(estimate, program=program)

    def train(self, images: int) -> Callable[[], object]:
        """Return what makes an update with so many images."""
        slots = torch.arange(images)

        def update() -> None:
            self.train_step.slots = slots
            self.train_step.state.micro_batch.size = images
            self.train_step.update(0)
            synchronize(self.workload.device)

        return update

    def compute_gradients(self, images: int) -> Callable[[], object]:
        """Return what computes the gradients of so many images, and forgets them."""
        slots = torch.arange(images)

        def compute() -> None:
            self.train_step.losses(0, slots).sum().backward()
            self.train_step.state.optimizer.zero_grad(set_to_none=True)
            synchronize(self.workload.device)

        return compute

    def sample(self, images: int) -> Callable[[], object]:
        """Return what makes some network calls of so many images; see `sampling_factor`."""
        specs = choose_specs(images, self.workload.num_classes)

        def generate() -> None:
            self.generator.generate_batch(specs, seed=SEED)
            synchronize(self.workload.device)

        return generate

    def build_variants(self, images: int, *, first: bool) -> list[Variant]:
        """Return the variants of so many images; none if they do not fit the memory.

        Args:
            images: Number of images.
            first: Whether it is the smallest number, with which the optimizer is timed as well.
        """
        memory = self.estimate_memory(images)
        room = free_memory(self.workload.device)
        if memory.activations > FREE_SHARE * room:
            return []
        kinds: list[tuple[Kind, Callable[[], object]]] = [("training", self.train(images))]
        if first:
            kinds.append(("gradients", self.compute_gradients(images)))
        variants = [Variant(kind, self.precision, images, run) for kind, run in kinds]
        for variant in variants:
            variant.memory = memory.total - memory.saving
        sampling = Variant("sampling", self.precision, images, self.sample(images))
        sampling.factor = self.sampling_factor
        return [*variants, sampling]
