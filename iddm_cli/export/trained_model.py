"""The model to export, with everything that its users have to know about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.sampling.latent_decoder import LatentDecoder
from iddm_cli.networks.autoencoding.autoencoder import Autoencoder
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.records.latent_scale import LatentScale
from iddm_cli.records.tuned_tables import NO_TABLES, TunedTables
from iddm_cli.value_range import EIGHT_BIT, ValueRange


@dataclass(frozen=True)
class Provenance:
    """How a model was trained, besides its settings.

    Attributes:
        dataset: The content of dataset.json: images per class, digest, size.
        metrics: The last line of metrics.jsonl.
        versions: Versions of iddm and torch that trained it.
        sample_grid: The latest sample grid as PNG bytes; empty if there is none.
    """

    dataset: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    sample_grid: bytes = b""


@dataclass(frozen=True)
class TrainedModel:
    """A trained denoiser and its provenance.

    Attributes:
        run: The run's name.
        step: Number of updates.
        weights: average or raw.
        profile: The run's profile; its sampling section holds the defaults of the export.
        classes: Class names by label; empty for an unconditional model.
        denoiser: The denoiser, on the CPU and in evaluation mode.
        provenance: How it was trained.
        values: The range of values that it was trained on.
        weaker: The weaker denoiser of autoguidance; None: guidance is classifier-free.
        guide_with: What the weaker denoiser is: RUN@STEP.
        tables: The tables that were tuned for the network.
        latents: The latents that it was trained on; None: it was trained on pixels.
    """

    run: str
    step: int
    weights: str
    profile: ResolvedProfile
    classes: tuple[str, ...]
    denoiser: Denoiser
    provenance: Provenance = Provenance()
    values: ValueRange = EIGHT_BIT
    weaker: Denoiser | None = None
    guide_with: str = ""
    tables: TunedTables = NO_TABLES
    latents: "LatentSpace | None" = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.profile.data.shape

    @property
    def diffused_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what noise is added to: an image, or its latent."""
        return self.profile.data.diffused_shape

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what its network reads."""
        return self.profile.input_shape

    @property
    def low_shape(self) -> tuple[int, int, int] | None:
        """Channels, height and width of the images that it upscales; None: it upscales none."""
        if not self.profile.model.is_upscaler:
            return None
        channels, height, width = self.shape
        factor = self.profile.model.upscale_factor
        return channels, height // factor, width // factor

    @property
    def whole_size(self) -> tuple[int, int] | None:
        """Height and width of the images that its own are crops of; None: it knows no positions."""
        data = self.profile.data
        if not data.crop_position:
            return None
        height, width = data.whole_size or data.size
        return height, width

    @property
    def decoder(self) -> LatentDecoder | None:
        """The decoder of its latents; None: it generates pixels."""
        return None if self.latents is None else self.latents.decoder

    @property
    def parameters(self) -> int:
        """Number of parameters of its network, of the weaker one and of the decoder."""
        weaker = 0 if self.weaker is None else count_parameters(self.weaker)
        decoder = 0 if self.latents is None else self.latents.count_parameters()
        return count_parameters(self.denoiser) + weaker + decoder


@dataclass(frozen=True)
class LatentSpace:
    """The latents that a model was trained on.

    Attributes:
        autoencoder: The autoencoder.
        scale: The scale of the latents of the training images.
    """

    autoencoder: TrainedModel
    scale: LatentScale

    @cached_property
    def decoder(self) -> LatentDecoder:
        """The decoder of these latents."""
        network = self.autoencoder.denoiser.backbone
        assert isinstance(network, Autoencoder), "its profile is that of an autoencoder"
        return LatentDecoder(network, self.scale, self.autoencoder.profile.data.channels)

    def count_parameters(self) -> int:
        """Return the number of parameters of the decoder."""
        return sum(p.numel() for p in self.decoder.autoencoder.decoder.parameters())


def describe_weaker(model: TrainedModel) -> str:
    """Return a clause that says that a file holds two networks, or "" where it holds one."""
    if model.weaker is None:
        return ""
    share = model.parameters / (model.parameters - count_parameters(model.weaker))
    return f"; with the network of {model.guide_with} inside it is {share:.2g} times as large"


def list_guide(model: TrainedModel) -> dict[str, object]:
    """Return what guides a model, for --json; nothing where that is the model itself."""
    return {"guide_with": model.guide_with} if model.guide_with else {}


def count_parameters(denoiser: Denoiser) -> int:
    """Return the number of parameters of a network."""
    return sum(p.numel() for p in denoiser.backbone.parameters())
