"""Settings of the distillation section: from which run, and how, a network for few calls comes."""

from typing import Annotated

from pydantic import Field

from iddm_cli.profiles.settings import Interval, Settings, Share, StepCount, StepCountOrZero


class DistillationSettings(Settings):
    """How a trained run is distilled to one of few network calls; written by iddm distill."""

    teacher: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Run or exported file that the network starts from and learns from; null: trained as usual."""

    teacher_step: StepCountOrZero | None = None
    """Step of the teacher's checkpoint; null: its latest one."""

    guidance: float = Field(default=1.0, ge=0, le=1000)
    """Guidance scale of the teacher that is folded into the network; 1 folds none."""

    guidance_interval: Interval = Field(default=[0.0, 1.0])
    """Noise levels at which guidance is folded in, [low, high], from 0 (clean) to 1 (noise)."""

    guidance_rescale: Share = 0.0
    """How far the contrast of the teacher's guided estimates is set back; 1: fully."""

    stage_steps: StepCount = 1000
    """Steps after which the gap between the two noise levels of the loss is halved."""

    @property
    def is_enabled(self) -> bool:
        """Whether the run is distilled from a teacher."""
        return self.teacher is not None

    def needs_guided_teacher(self, num_classes: int) -> bool:
        """Return whether training evaluates a frozen copy of the teacher, with guidance."""
        return self.is_enabled and num_classes > 0 and self.guidance != 1
