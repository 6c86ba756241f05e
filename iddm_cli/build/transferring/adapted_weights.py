"""Weights of a run that trains adapters: a frozen base, kept once, and adapters in checkpoints."""

import dataclasses
import hashlib
from collections.abc import Sequence

from iddm_cli.build.networks import build_backbone, build_denoiser
from iddm_cli.checkpoints.tensors import Tensors, check_compatible, specs_of
from iddm_cli.checkpoints.weights_source import WeightsSource
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine import randomness
from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.export.trained_model import Provenance, TrainedModel
from iddm_cli.networks.skeleton import shapes_only
from iddm_cli.networks.transferring.adapters import add_adapters, merge_adapters
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.value_range import ValueRange


@dataclasses.dataclass(frozen=True)
class MergedWeights:
    """The weights of a checkpoint of adapters, merged with their base.

    Attributes:
        adapters: The checkpoint.
        base: The weights of the frozen network.
    """

    adapters: WeightsSource
    base: WeightsSource

    @property
    def step(self) -> int:
        """Number of updates made when they were saved."""
        return self.adapters.step

    def read(self, part: str, like: Tensors | None = None) -> Tensors:
        """Read the part `model` or `average`, which must match the tensors in `like`.

        Raises:
            CheckpointError: A file is missing or damaged, or does not match.
        """
        merged = merge_adapters(self.base.read("average"), self.adapters.read(part))
        if like is not None:
            check_compatible(specs_of(like), specs_of(merged), f"{part} of step {self.step}")
        return merged

    def digest(self, part: str) -> str:
        """Return the SHA-256 of the digests of both."""
        both = self.base.digest("average") + self.adapters.digest(part)
        return hashlib.sha256(both.encode()).hexdigest()


def build_base(
    name: str,
    profile: ResolvedProfile,
    classes: tuple[str, ...],
    values: ValueRange,
    weights: Tensors,
) -> bytes:
    """Return the content of the exported file that holds the frozen base of a run.

    Args:
        name: Name of the run.
        profile: Its profile.
        classes: Names of its classes, by label.
        values: The range of values that it is trained on.
        weights: The weights.
    """
    denoiser = build_denoiser(profile, len(classes)).requires_grad_(False).eval()
    denoiser.backbone.load_state_dict(weights)
    model = TrainedModel(name, 0, "average", profile, classes, denoiser, Provenance(), values)
    return build_safetensors(model)


def attach_adapters(
    denoiser: Denoiser, profile: ResolvedProfile, new_labels: Sequence[int]
) -> None:
    """Freeze a denoiser, and give it adapters; they are a function of the seed.

    Args:
        denoiser: The denoiser, which holds the weights of the base.
        profile: The profile.
        new_labels: Classes whose rows of the class table are trained in full.
    """
    randomness.seed_library(profile.training.seed, "adapters", step=0)
    add_adapters(denoiser.backbone, profile.training.lora_rank, new_labels)


def count_adapters(
    profile: ResolvedProfile, num_classes: int, new: Sequence[int]
) -> tuple[int, int]:
    """Return how many numbers the adapters of a run have, and how many its network."""
    with shapes_only():
        network = build_backbone(profile, num_classes)
        total = sum(parameter.numel() for parameter in network.parameters())
        add_adapters(network, profile.training.lora_rank, new)
    trained = (each.numel() for each in network.parameters() if each.requires_grad)
    return sum(trained), total
