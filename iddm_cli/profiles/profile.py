"""The profile: every setting that decides the outcome of a training, and how images are sampled."""

from pydantic import Field

from iddm_cli.profiles.settings import (
    DataSettings,
    DiffusionSettings,
    ModelSettings,
    RuntimeSettings,
    SamplingSettings,
    Settings,
    TrainingSettings,
)


class Profile(Settings):
    """All that decides the outcome of a training, and how pictures are drawn from it."""

    data: DataSettings = Field(default_factory=DataSettings)
    """Which pictures are learnt from."""

    model: ModelSettings = Field(default_factory=ModelSettings)
    """The network."""

    diffusion: DiffusionSettings = Field(default_factory=DiffusionSettings)
    """The noising process and what the network predicts."""

    training: TrainingSettings = Field(default_factory=TrainingSettings)
    """How long and how the network learns."""

    sampling: SamplingSettings = Field(default_factory=SamplingSettings)
    """How pictures are drawn."""

    runtime: RuntimeSettings = Field(default_factory=RuntimeSettings)
    """Where and how it computes."""
