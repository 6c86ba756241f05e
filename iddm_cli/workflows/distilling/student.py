"""The profile of a distilled run: its teacher's, but for what distilling changes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.errors import UsageError
from iddm_cli.profiles.origins.transfer_settings import TransferSettings
from iddm_cli.profiles.overrides import Override, collect_overrides
from iddm_cli.profiles.settings import SamplingSettings, TrainingSettings

if TYPE_CHECKING:
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.workflows.transferring.trained_source import TrainedSource

FEWEST_STEPS = 100
"""The demo in two calls has a Fréchet distance of 3.4 after 32 steps, and of 2.2 after 100."""

SHARE_OF_TRAINING = 0.25
"""Time that distilling takes by default, as a share of the teacher's training."""

GUIDED_COST, PLAIN_COST = 2.0, 4 / 3
"""Time of a step, as a multiple of a step of ordinary training.

That has a forward pass, and a backward pass of twice its cost; the target adds one forward pass,
and a guided teacher two.
"""

STAGES = 4
"""Stages of a distillation, each of which halves the gap between the two noise levels."""

KEPT_SAMPLING = ("weights", "batch_size", "precision", "clip")
"""Settings of the sampling section that a distilled run takes from its teacher."""

ORIGIN = "iddm distill"


@dataclass(frozen=True)
class DistillRequest:
    """What the command line asks for.

    Attributes:
        calls: Network calls for each image.
        steps: Number of updates; None: as many as take a quarter of the teacher's training.
        guidance: Guidance scale that is folded in; None: the teacher's.
        guidance_interval: Noise levels with guidance; None: the teacher's.
        guidance_rescale: Share of rescaled guidance; None: the teacher's.
        options: Values of other options, by "--option setting.key"; None where not given.
        sets: Arguments of --set.
    """

    calls: int
    steps: int | None
    guidance: float | None
    options: Mapping[str, object]
    sets: "Sequence[str] | None" = None
    guidance_interval: list[float] | None = None
    guidance_rescale: float | None = None


def build_student_profile(
    teacher: "TrainedSource", request: DistillRequest, runs_dir: Path
) -> "ResolvedProfile":
    """Return the profile of the new run.

    Args:
        teacher: The teacher.
        request: What the command line asks for.
        runs_dir: The folder of runs, inside which the teacher is known by its name.

    Raises:
        IddmError: An option is invalid or missing, or the teacher is damaged.
    """
    profile = teacher.load_profile()
    warn_of_predicted_noise(teacher, profile.diffusion.prediction)
    wanted = collect_overrides(request.options, request.sets)
    teacher.check_has_images(wanted, "distil with", f"iddm distill {teacher.name}")
    guidance = describe_guidance(teacher, request, profile.sampling)
    steps = request.steps or suggest_steps(teacher, guided=guidance["guidance"] != 1)
    changes: dict[str, object] = {
        **describe_training(steps),
        **describe_optimizer(wanted),
        **describe_sampling(request.calls),
        **describe_origin(),
        "distillation.teacher": teacher.refer_from(runs_dir),
        "distillation.teacher_step": teacher.step,
        **{f"distillation.{key}": value for key, value in guidance.items()},
        "distillation.stage_steps": math.ceil(steps / STAGES),
    }
    if "dropout" in type(profile.model).model_fields:
        changes["model.dropout"] = 0.0
    ours = [Override(key, value, ORIGIN) for key, value in changes.items()]
    return teacher.load_profile([*ours, *wanted])


def describe_training(steps: int) -> dict[str, object]:
    """Return the settings that a distilled run does not take from its teacher, by their keys."""
    return {
        "data.augment": "off",  # nothing conditions its teacher on it
        "diffusion.time_distribution": "uniform",
        "diffusion.time_mean": None,
        "diffusion.time_deviation": None,
        "training.steps": steps,
        "training.weight_decay": 0.0,
        "training.lr_schedule": "cosine",
        "training.lr_final": 0.0,
        "training.warmup_steps": min(steps // 10, 100),
        "training.extensions": [],
        "training.lora_rank": 0,
        "training.label_drop": 0.0,  # guidance is inside
        "training.checkpoint_every": max(1, math.ceil(steps / STAGES)),
        "training.checkpoint_from": 0,
        "training.sample_every": max(1, math.ceil(steps / STAGES)),
        "training.keep_best": None,
        "training.stop_when": None,
        "evaluation.loss_every": 0,  # the denoising loss rises as the network becomes consistent
    }


def describe_origin() -> dict[str, object]:
    """Return the settings by which the teacher itself started from a trained model, unset."""
    return {
        f"transfer.{key}": field.get_default(call_default_factory=True)
        for key, field in TransferSettings.model_fields.items()
    }


def describe_optimizer(wanted: Sequence[Override]) -> dict[str, object]:
    """Return the settings of the optimizer that was chosen: muon, unless told otherwise."""
    values = {override.key: override.value for override in wanted}
    if values.get("training.optimizer", "muon") == "muon":
        return {"training.optimizer": "muon", "training.lr": 1e-3, "training.muon_lr": 0.005}
    unused = TrainingSettings.model_fields["muon_lr"].get_default()
    return {"training.lr": 5e-4, "training.muon_lr": unused}


def describe_sampling(calls: int) -> dict[str, object]:
    """Return the sampling settings of a distilled run, by their keys: no sampler's but its own."""
    defaults = {
        f"sampling.{key}": field.get_default()
        for key, field in SamplingSettings.model_fields.items()
        if key not in KEPT_SAMPLING
    }
    ours = {"sampling.sampler": "consistency", "sampling.steps": calls, "sampling.guidance": 1.0}
    return {**defaults, **ours}


def warn_of_predicted_noise(teacher: "TrainedSource", prediction: str) -> None:
    """Warn where one call cannot be good: what predicts noise says little about almost pure noise.

    Its estimate of x divides by alpha, the share of the image, which is almost 0 there.
    """
    if prediction == "epsilon":
        console.print_warning(
            f"{teacher.name} predicts the noise (diffusion.prediction: epsilon), so its first "
            "call, from almost pure noise, is inexact; a run with diffusion.prediction: v distils "
            "better"
        )


def describe_guidance(
    teacher: "TrainedSource", request: DistillRequest, usual: SamplingSettings
) -> dict[str, object]:
    """Return the guidance that is folded in, by the names of the settings.

    Args:
        teacher: The teacher.
        request: What the command line asks for.
        usual: The teacher's own sampling settings, for what the command line leaves out.

    Raises:
        UsageError: Something is asked for that has no effect.
    """
    guidance = choose_guidance(teacher, request.guidance, usual.guidance)
    found: dict[str, object] = {"guidance": guidance}
    for key in ("guidance_interval", "guidance_rescale"):
        asked = getattr(request, key)
        if guidance != 1:
            found[key] = getattr(usual, key) if asked is None else asked
        elif asked is not None:
            option = f"--{key.replace('_', '-')}"
            raise UsageError(
                f"{option} has no effect: no guidance is folded in",
                f"Leave {option} out, or add --guidance 2 for a run with classes.",
            )
    return found


def choose_guidance(teacher: "TrainedSource", asked: float | None, usual: float) -> float:
    """Return the guidance scale that is folded in: the one asked for, or the teacher's own.

    Raises:
        UsageError: The teacher has no classes to guide by.
    """
    if teacher.classes:
        return usual if asked is None else asked
    if asked not in (None, 1):
        raise UsageError(
            f"--guidance {asked:g}: {teacher.name} has no classes, so nothing guides it",
            "Leave --guidance out.",
        )
    return 1.0


def suggest_steps(teacher: "TrainedSource", *, guided: bool) -> int:
    """Return how many steps take a quarter of the time that the teacher was trained for.

    They are at least FEWEST_STEPS, but no more than the teacher's own.

    Raises:
        UsageError: It was not trained here.
    """
    if teacher.step == 0:
        raise UsageError(
            f"{teacher.name} was imported, so its training time is unknown",
            "Say how many updates to make: --steps 5000",
        )
    cost = GUIDED_COST if guided else PLAIN_COST
    wanted = max(FEWEST_STEPS, round(SHARE_OF_TRAINING * teacher.step / cost))
    return min(wanted, teacher.step)
