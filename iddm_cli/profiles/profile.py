"""The profile: every setting that decides the outcome of training, and how images are sampled."""

import math
from functools import cache
from typing import Literal

from pydantic import Field

from iddm_cli.profiles.evaluation_settings import EvaluationSettings
from iddm_cli.profiles.model_settings import MODEL_SETTINGS, ModelSettings, UNetSettings
from iddm_cli.profiles.origins.distillation_settings import DistillationSettings
from iddm_cli.profiles.origins.transfer_settings import TransferSettings
from iddm_cli.profiles.settings import (
    ChannelCount,
    DataSettings,
    DiffusionSettings,
    ResolvedDiffusionSettings,
    RuntimeSettings,
    SamplingSettings,
    Settings,
    Share,
    TrainingSettings,
)
from iddm_cli.profiles.training_length import choose_augment

REFERENCE_SIDE = 32
"""Side of the images whose noise is not shifted by diffusion.noise_shift: auto."""


def choose_noise_shift(size: tuple[int, int]) -> float:
    """Return the factor on the noise of images of a height and width.

    It hides as much of larger images as the unshifted schedule hides of their averages at 32 x 32
    (Hoogeboom et al. 2023, arXiv:2301.11093, eq. 4, whose shift of log SNR is 2 log (32 / side)).
    """
    side = math.sqrt(size[0] * size[1])
    return round(max(1.0, side / REFERENCE_SIDE), 4)


class Profile(Settings):
    """Every setting that decides the outcome of training, and how images are sampled."""

    data: DataSettings = Field(default_factory=DataSettings)
    """The training images."""

    model: ModelSettings = Field(default_factory=UNetSettings)
    """The network."""

    diffusion: DiffusionSettings = Field(default_factory=DiffusionSettings)
    """The noise schedule and what the network predicts."""

    training: TrainingSettings = Field(default_factory=TrainingSettings)
    """How long and how the network is trained."""

    transfer: TransferSettings = Field(default_factory=TransferSettings)
    """The trained model that the network starts from, if there is one."""

    distillation: DistillationSettings = Field(default_factory=DistillationSettings)
    """From which run the network is distilled, if it is."""

    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)
    """How often the training is evaluated."""

    sampling: SamplingSettings = Field(default_factory=SamplingSettings)
    """How images are generated."""

    runtime: RuntimeSettings = Field(default_factory=RuntimeSettings)
    """Which devices compute, and how."""

    @property
    def size_divisor(self) -> int:
        """Number of pixels that must divide the height and width of an image."""
        return self.model.size_divisor * (self.data.latents[1] if self.data.latents else 1)

    @property
    def size_divisor_reason(self) -> str:
        """Why they must be divisible by that."""
        reason = self.model.size_divisor_reason
        return f"{reason}, times the downsampling of data.encoder" if self.data.latents else reason

    def flatten(self) -> dict[str, object]:
        """Return the value of every setting by its dotted key, such as training.lr."""
        return {
            f"{section}.{key}": value
            for section, table in self.model_dump().items()
            for key, value in table.items()
        }

    def resolve(self, channels: int, images: int | None = None) -> "ResolvedProfile":
        """Return this profile with what depends on the dataset.

        Args:
            channels: Number of channels that was found in it.
            images: Number of training images, which decides data.augment: auto; None: it is off.
        """
        found: dict[str, object] = {"channels": channels}
        if self.data.augment == "auto":
            found["augment"] = choose_augment(self.training, images) if images else "off"
        data = ResolvedDataSettings.model_validate({**dict(self.data), **found})
        diffusion = dict(self.diffusion)
        if self.diffusion.noise_shift == "auto":
            diffusion["noise_shift"] = choose_noise_shift(self.data.diffused_size)
        sections: dict[str, Settings] = {
            "data": data,
            "diffusion": ResolvedDiffusionSettings.model_validate(diffusion),
        }
        if self.data.latents is not None:  # which lie in no range that estimates can be clipped to
            sections["sampling"] = self.sampling.model_copy(update={"clip": False})
        return ResolvedProfile.model_validate({**dict(self), **sections})


class ResolvedDataSettings(DataSettings):
    """Data settings with a known number of channels."""

    channels: ChannelCount
    """Channels of each image: 1 for greyscale, 3 for RGB, or the number of bands."""

    augment: Literal["off"] | Share = "off"
    """Probability of changes on which the network is conditioned; off: none."""

    @property
    def augment_probability(self) -> float:
        """Probability of each kind of non-leaky augmentation; 0: none."""
        return 0.0 if self.augment == "off" else self.augment

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image, (C, H, W)."""
        return self.channels, *self.size

    @property
    def diffused_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what noise is added to: an image, or its latent."""
        channels = self.channels if self.latents is None else self.latents[0]
        return channels, *self.diffused_size

    @property
    def window_size(self) -> tuple[int, int] | None:
        """Height and width of the windows of a larger image; None where one crop covers it."""
        crop = self.crop_size
        if crop is None or all(
            side <= length for side, length in zip(self.size, crop, strict=True)
        ):
            return None
        return min(self.size[0], crop[0]), min(self.size[1], crop[1])

    def at_window_size(self) -> "ResolvedDataSettings":
        """Return the settings of images of one window."""
        window = self.window_size
        return self if window is None else self.model_copy(update={"image_size": [*window]})


class ResolvedProfile(Profile):
    """A profile with a known number of channels, from which objects can be built."""

    data: ResolvedDataSettings
    """The training images."""

    diffusion: ResolvedDiffusionSettings = Field(default_factory=ResolvedDiffusionSettings)
    """The noise schedule and what the network predicts."""

    @property
    def condition_channels(self) -> int:
        """Channels that the network reads besides those of the image.

        See `low_resolution` and `crop_positions`, of which a network has one at most.
        """
        if self.data.crop_position:
            return 2
        return self.data.channels + 1 if self.model.is_upscaler else 0

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what the network reads."""
        channels, height, width = self.data.diffused_shape
        return channels + self.condition_channels, height, width


def get_section_classes(section: str) -> dict[str, type[Settings]]:
    """Return the settings classes of a section, by backbone; the key is "" outside `model`."""
    if section == "model":
        return dict(MODEL_SETTINGS)
    settings = Profile.model_fields[section].annotation
    assert isinstance(settings, type), "a section other than model has one class"
    assert issubclass(settings, Settings), "every section is a table of settings"
    return {"": settings}


@cache
def list_keys() -> tuple[str, ...]:
    """Return every dotted key, such as training.lr, in the order of the file."""
    keys = (
        f"{section}.{key}"
        for section in Profile.model_fields
        for settings in get_section_classes(section).values()
        for key in settings.model_fields
    )
    return tuple(dict.fromkeys(keys))
