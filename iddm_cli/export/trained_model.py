"""The model that is exported, with all that its users have to know about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.profiles.profile import ResolvedProfile


@dataclass(frozen=True)
class Provenance:
    """What is told of a training beside its settings.

    Attributes:
        dataset: What dataset.json says: counts of classes, digest, size.
        figures: The last line of metrics.jsonl.
        made_with: Versions of iddm and torch that trained it.
        grid: The newest sample grid, a PNG; empty where there is none.
    """

    dataset: Mapping[str, object] = field(default_factory=dict)
    figures: Mapping[str, object] = field(default_factory=dict)
    made_with: Mapping[str, str] = field(default_factory=dict)
    grid: bytes = b""


@dataclass(frozen=True)
class TrainedModel:
    """A trained denoiser and where it comes from.

    Attributes:
        run: The run's name.
        step: Updates done.
        weights: average, or raw.
        profile: The run's profile, its sampling section as the export is to be used.
        classes: Names of the classes, by index; empty without.
        denoiser: On the CPU, in evaluation mode.
        provenance: What else is told of its training.
    """

    run: str
    step: int
    weights: str
    profile: ResolvedProfile
    classes: tuple[str, ...]
    denoiser: Denoiser
    provenance: Provenance = Provenance()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.profile.data.shape

    @property
    def parameters(self) -> int:
        """How many numbers it has learnt."""
        return sum(p.numel() for p in self.denoiser.backbone.parameters())
