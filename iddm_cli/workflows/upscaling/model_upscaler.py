"""Upscalers of trained models: loaded, and what their images record."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iddm_cli.data.progress import ProgressCallback
from iddm_cli.errors import UsageError
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.workflows.models import CheckpointChoice, ModelSource
from iddm_cli.workflows.sampling.sampling_precision import build_sampling_generator

if TYPE_CHECKING:
    import torch

    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.engine.sampling.upscaler import Upscaler
    from iddm_cli.profiles.profile import ResolvedProfile


@dataclass(frozen=True)
class LoadedUpscaler:
    """A trained model that upscales.

    Attributes:
        model: The model.
        profile: Its profile, with the sampling section to use.
        step: Number of updates of its weights.
        upscaler: What upscales.
    """

    model: ModelSource
    profile: "ResolvedProfile"
    step: int
    upscaler: "Upscaler"

    @property
    def factor(self) -> int:
        """How many times larger images become."""
        return self.upscaler.factor

    def choose_batch_size(self, size: tuple[int, int]) -> int:
        """Return how many images of a size are upscaled at once: of as many pixels as in training.

        Args:
            size: Height and width of the smaller images.
        """
        height, width = self.profile.data.size
        trained = height * width // self.factor**2
        return max(1, self.profile.sampling.batch_size * trained // max(trained, size[0] * size[1]))

    def describe(self, seed: int) -> SamplingMetadata:
        """Return the metadata of images that are upscaled with a seed."""
        generator = self.upscaler.generator
        return SamplingMetadata(
            **self.profile.sampling.to_metadata(),
            run=self.model.name,
            step=self.step,
            seed=seed,
            steps=len(generator.solver_table),
            precision=generator.precision,
            noise_level=self.upscaler.noise_level,
        )


def load_upscaler(
    model: ModelSource,
    profile: "ResolvedProfile",
    checkpoint: CheckpointChoice,
    noise_level: float,
    *,
    progress: ProgressCallback,
    device: "torch.device | None" = None,
    group: "ProcessGroup | None" = None,
) -> LoadedUpscaler:
    """Load a model that upscales.

    Args:
        model: The model.
        profile: Its profile, with the sampling section to use.
        checkpoint: The checkpoint.
        noise_level: Level of the noise that images get first, from 0 to 1.
        progress: Called while precisions are compared.
        device: The device; None: the one that the profile names.
        group: The processes that share this machine; None: there are no others.

    Raises:
        IddmError: The noise level is higher than any in training, or the weights are damaged.
    """
    check_level(noise_level, profile.model.upscale_noise)

    from iddm_cli.engine.sampling.upscaler import Upscaler

    source = model.open_weights(checkpoint, profile.sampling.weights)
    generator = build_sampling_generator(
        model, profile, source, progress=progress, device=device, group=group
    )
    upscaler = Upscaler(
        generator,
        profile.model.upscale_factor,
        noise_level,
        divisor=profile.model.size_divisor,
    )
    return LoadedUpscaler(model, profile, source.step, upscaler)


def check_level(level: float, highest: float) -> None:
    """Check a noise level, which should be one that the network was trained with.

    Raises:
        UsageError: It is higher.
    """
    if level > highest:
        raise UsageError(
            f"--noise-level {level:g} is higher than the run was trained with: {highest:g}",
            f"Give a level from 0 to {highest:g} (model.upscale_noise).",
        )
