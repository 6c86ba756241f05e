"""Settings of the evaluation section: how a training is watched. None changes the weights."""

from typing import Literal

from pydantic import Field

from iddm_cli.profiles.settings import ImageCount, Settings, StepCount, StepCountOrZero


class EvaluationSettings(Settings):
    """How often a training is evaluated, and for how long it may get no better."""

    loss_every: StepCountOrZero | Literal["auto"] = "auto"
    """Steps between held-out losses; auto takes at most 1 % of the training; 0 disables them."""

    every: StepCountOrZero = 0
    """Steps between evaluations of generated images during training; 0 disables them."""

    count: ImageCount = 500
    """Number of images generated for each of these evaluations."""

    patience: StepCount = Field(default=5)
    """Held-out losses in a row without improvement before training.stop_when ends the run."""
