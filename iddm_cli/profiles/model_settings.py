"""Model settings: one table for each backbone, selected by the key `network`.

To add a backbone: write its network in `iddm_cli/networks/`, its settings class here as a member
of ModelSettings, and its row in `iddm_cli.networks.NETWORKS`. The fields of the class are the
network's keyword arguments.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from iddm_cli.profiles.checking.issues import Issue
from iddm_cli.profiles.settings import Settings, Share

Width = Annotated[int, Field(ge=1, le=4096)]
Multiplier = Annotated[int, Field(ge=1, le=64)]
Level = Annotated[int, Field(ge=0, le=7)]
ActivationName = Literal["silu", "gelu", "relu", "relu6", "lrelu"]
ConditioningName = Literal["scale_shift", "shift"]

ConditionName = Literal["none", "low_resolution"]
TokenNormName = Literal["layer", "rms"]
FeedForwardName = Literal["gelu", "swiglu"]

DEFAULT_NETWORK = "unet"


class BackboneSettings(Settings):
    """Base of the settings of every backbone."""

    network: str

    condition: ConditionName = "none"
    """What each image is generated from: none, or low_resolution, a smaller one to upscale."""

    upscale_factor: int = Field(default=4, ge=2, le=16)
    """With condition: low_resolution, how many times larger the image is than the smaller one."""

    upscale_noise: Share = 0.5
    """With condition: low_resolution, the highest level of noise that smaller images get."""

    size_keys: ClassVar[tuple[str, ...]] = ()
    """Settings that decide how large the network is, the width first."""

    is_autoencoder: ClassVar[bool] = False
    """Whether it encodes and decodes images, and denoises none."""

    loss_keys: ClassVar[tuple[str, ...]] = ()
    """Settings of the loss, which the network does not take."""

    @property
    def network_arguments(self) -> dict[str, Any]:
        """The settings that the network takes, as its keyword arguments."""
        return self.model_dump(exclude={*BackboneSettings.model_fields, *self.loss_keys})

    @property
    def is_upscaler(self) -> bool:
        """Whether the network upscales images."""
        return self.condition == "low_resolution"

    @property
    @abstractmethod
    def size_divisor(self) -> int:
        """Number of pixels that must divide the height and width of an image."""

    @property
    @abstractmethod
    def size_divisor_reason(self) -> str:
        """Why the height and width must be divisible by `size_divisor`."""

    @property
    @abstractmethod
    def attention_stride(self) -> int:
        """Pixels from one position to the next where attention has the most positions."""

    @abstractmethod
    def check(self) -> Iterator[Issue]:
        """Yield the issues between these settings."""


class UNetSettings(BackboneSettings):
    """The U-Net of DDPM and ADM: residual blocks, with self-attention on some levels."""

    size_keys = ("base_channels", "channel_multipliers", "blocks_per_level")

    network: Literal["unet"] = "unet"
    """Backbone: unet."""

    base_channels: Width = 64
    """Channels of the first level."""

    channel_multipliers: list[Multiplier] = Field(default=[1, 2, 2], min_length=1, max_length=8)
    """Channels of each level as multiples of base_channels; each further level halves the size."""

    blocks_per_level: int = Field(default=2, ge=1, le=64)
    """Residual blocks of each level on the way down; the way up has one more."""

    attention_levels: list[Level] = Field(default=[1, 2], max_length=8)
    """Levels with self-attention after each block (0 is full size); the middle always has it."""

    head_channels: Width | None = 64
    """Channels of each attention head; null uses a single head."""

    norm_groups: Width = 32
    """Groups of each group normalisation; must divide the channels of every level."""

    activation: ActivationName = "silu"
    """Activation function."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout probability inside residual blocks during training."""

    patch_size: int = Field(default=1, ge=1, le=64)
    """Side of the pixel patches folded into channels first; 2 makes a step about 4x cheaper."""

    conditioning: ConditioningName = "scale_shift"
    """How time and class condition a block: scale and shift (ADM), or an added shift (DDPM)."""

    norm_eps: float = Field(default=1e-5, ge=1e-12, le=0.1)
    """Epsilon added to the variance by each normalisation."""

    downsample_padding: Literal[1, 0] = 1
    """Padding of downsampling convolutions: 1 on every side, or 0 for right and bottom only."""

    frequency_shift: Literal[0, 1] = 0
    """Frequency shift of the sinusoidal time embedding; DDPM uses 1."""

    qk_norm: bool = False
    """Whether attention normalises queries and keys in each head, against growing products."""

    @property
    def size_divisor(self) -> int:  # noqa: D102
        return self.patch_size * 2 ** (len(self.channel_multipliers) - 1)

    @property
    def attention_stride(self) -> int:  # noqa: D102
        finest = min([*self.attention_levels, len(self.channel_multipliers) - 1])
        return self.patch_size * 2**finest

    @property
    def size_divisor_reason(self) -> str:  # noqa: D102
        return "model.patch_size times two for each level after the first"

    def check(self) -> Iterator[Issue]:  # noqa: D102
        widths = [self.base_channels * multiplier for multiplier in self.channel_multipliers]
        yield from self._check_levels(len(widths))
        yield from _check_divides("norm_groups", self.norm_groups, widths)
        if self.head_channels is not None:
            attended = {widths[level] for level in self.attention_levels if level < len(widths)}
            heads = sorted({*attended, widths[-1]})
            yield from _check_divides("head_channels", self.head_channels, heads)
        if self.base_channels % 2:
            yield Issue(("model", "base_channels"), "base_channels must be even")
        elif self.base_channels < 2 + 2 * self.frequency_shift:
            yield Issue(
                ("model", "base_channels"), "frequency_shift 1 needs base_channels of 4 or more"
            )

    def _check_levels(self, count: int) -> Iterator[Issue]:
        for level in self.attention_levels:
            if level >= count:
                yield Issue(
                    ("model", "attention_levels"),
                    f"there is no level {level}: channel_multipliers makes levels 0 to {count - 1}",
                )
        if len(set(self.attention_levels)) < len(self.attention_levels):
            yield Issue(("model", "attention_levels"), "attention_levels names a level twice")


class IddmUNetSettings(BackboneSettings):
    """The U-Net of IDDM, with fixed widths, so that its checkpoints can be imported."""

    network: Literal["iddm-unet"]
    """Backbone: iddm-unet."""

    activation: ActivationName = "silu"
    """Activation function."""

    @model_validator(mode="before")
    @classmethod
    def _drop_defaults_of_unet(cls, values: Any) -> Any:
        """Drop settings of the U-Net at their defaults.

        Format 1 of the run folder wrote the keys of both networks into every profile.yaml.
        """
        if not isinstance(values, dict):
            return values
        return {
            key: value
            for key, value in values.items()
            if key in cls.model_fields or not _is_default_of_unet(key, value)
        }

    @property
    def size_divisor(self) -> int:  # noqa: D102
        return 8

    @property
    def attention_stride(self) -> int:  # noqa: D102
        return 1

    @property
    def size_divisor_reason(self) -> str:  # noqa: D102
        return "iddm-unet halves it three times"

    def check(self) -> Iterator[Issue]:  # noqa: D102
        yield from ()


class DiTSettings(BackboneSettings):
    """The Diffusion Transformer: blocks of self-attention over the patches of an image."""

    size_keys = ("width", "depth")

    network: Literal["dit"]
    """Backbone: dit."""

    width: Width = 384
    """Channels of a token, the representation of one patch."""

    depth: int = Field(default=12, ge=1, le=256)
    """Number of transformer blocks."""

    head_channels: Width = 64
    """Channels of each attention head; must divide width."""

    patch_size: int = Field(default=4, ge=1, le=64)
    """Side of a patch in pixels; twice the side makes a step about 4x cheaper."""

    bottleneck: Width | None = None
    """Channels between two layers that embed a patch, for large patches; null: one layer."""

    mlp: FeedForwardName = "swiglu"
    """Feed-forward network of a block: gelu (as DiT), or swiglu of as many weights (as JiT)."""

    mlp_ratio: float = Field(default=4.0, ge=0.25, le=32)
    """Inner channels of a feed-forward network, as a multiple of width."""

    norm: TokenNormName = "rms"
    """Normalisation of tokens: layer (as DiT), or rms (as JiT)."""

    qk_norm: bool = True
    """Whether attention normalises queries and keys in each head, against growing products."""

    position_span: int = Field(default=16, ge=1, le=4096)
    """Positions along a side that those of the patches are spread over, at every image size."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout probability inside feed-forward networks during training."""

    @property
    def size_divisor(self) -> int:  # noqa: D102
        return self.patch_size

    @property
    def attention_stride(self) -> int:  # noqa: D102
        return self.patch_size

    @property
    def size_divisor_reason(self) -> str:  # noqa: D102
        return "model.patch_size"

    def check(self) -> Iterator[Issue]:  # noqa: D102
        yield from _check_divides("head_channels", self.head_channels, [self.width], "a token")
        if self.width % 4:
            yield Issue(("model", "width"), "width must be divisible by 4")


class AutoencoderSettings(BackboneSettings):
    """The autoencoder of latent diffusion: residual blocks without attention, images to latents."""

    size_keys = ("base_channels", "blocks_per_level")
    is_autoencoder = True
    loss_keys = (
        "discriminator_weight",
        "discriminator_start",
        "discriminator_lr",
        "discriminator_channels",
        "discriminator_layers",
    )

    network: Literal["autoencoder"]
    """Backbone: autoencoder."""

    downsampling: Literal[4, 8] = 8
    """Pixels along a side for each position of a latent; 4 keeps more detail."""

    latent_channels: int = Field(default=4, ge=1, le=16)
    """Channels of the latents; more keep more detail, and are harder to generate."""

    base_channels: Width = 64
    """Channels of the largest size; each further size has twice as many, up to four times."""

    blocks_per_level: int = Field(default=2, ge=1, le=64)
    """Residual blocks of each size, in the encoder and in the decoder."""

    norm_groups: Width = 32
    """Groups of each group normalisation; must divide base_channels."""

    latent_noise: float = Field(default=0.02, ge=0, le=1)
    """Standard deviation of the noise on latents, in (-1, 1), during training."""

    discriminator_weight: float = Field(default=0.0, ge=0, le=100)
    """Weight of the adversarial loss, against a discriminator of patches (VQGAN); 0: none."""

    discriminator_start: int = Field(default=2000, ge=0, le=10**9)
    """Step that the adversarial loss begins with, when reconstructions are sensible."""

    discriminator_lr: float = Field(default=2e-4, gt=0, le=1)
    """Peak learning rate of the discriminator; it decays as training.lr does."""

    discriminator_channels: int = Field(default=64, ge=1, le=512)
    """Channels of the discriminator's first layer; further ones have up to eight times as many."""

    discriminator_layers: int = Field(default=3, ge=1, le=6)
    """Layers of the discriminator that halve the size: 3 see patches of 70 pixels, 2 of 34."""

    @property
    def smallest_discriminated_side(self) -> int:
        """Pixels that a side of an image needs at least for the discriminator."""
        return 3 * 2**self.discriminator_layers

    @property
    def size_divisor(self) -> int:  # noqa: D102
        return self.downsampling

    @property
    def attention_stride(self) -> int:  # noqa: D102
        return self.downsampling

    @property
    def size_divisor_reason(self) -> str:  # noqa: D102
        return "model.downsampling"

    @property
    def latent_shape(self) -> list[int]:
        """Channels of a latent, and pixels along its sides: see data.latents."""
        return [self.latent_channels, self.downsampling]

    def check(self) -> Iterator[Issue]:  # noqa: D102
        yield from _check_divides("norm_groups", self.norm_groups, [self.base_channels])


def _get_network(values: Any) -> str:
    """Return the discriminator of model settings; a name of no backbone if it is not text."""
    if isinstance(values, BackboneSettings):
        return values.network
    if not isinstance(values, dict):
        return DEFAULT_NETWORK  # whose validation reports that this is not a section
    network = values.get("network", DEFAULT_NETWORK)
    return network if isinstance(network, str) else ""


ModelSettings = Annotated[
    Annotated[UNetSettings, Tag("unet")]
    | Annotated[IddmUNetSettings, Tag("iddm-unet")]
    | Annotated[DiTSettings, Tag("dit")]
    | Annotated[AutoencoderSettings, Tag("autoencoder")],
    Discriminator(_get_network),
]
"""Settings of the model section, discriminated by `network`."""

MODEL_SETTINGS: dict[str, type[BackboneSettings]] = {
    tag.tag: settings for settings, tag in map(get_args, get_args(get_args(ModelSettings)[0]))
}
"""The settings class of each backbone, by its name."""


def list_owners(key: str) -> list[str]:
    """Return the backbones that have a setting of this name."""
    return [name for name, settings in MODEL_SETTINGS.items() if key in settings.model_fields]


def _is_default_of_unet(key: str, value: object) -> bool:
    if key not in UNetSettings.model_fields:
        return False
    try:
        parsed = UNetSettings.model_validate({key: value})
    except ValidationError:
        return False
    return bool(getattr(parsed, key) == UNetSettings.model_fields[key].default)


def _check_divides(
    key: str, number: int, widths: Sequence[int], owner: str = "a level"
) -> Iterator[Issue]:
    wrong = [width for width in widths if width % number]
    if not wrong:
        return
    common = math.gcd(*widths)
    nearest = next(divisor for divisor in range(number, 0, -1) if common % divisor == 0)
    yield Issue(
        ("model", key),
        f"{key} {number} does not divide the {wrong[0]} channels of {owner}",
        f"{nearest} would.",
    )
