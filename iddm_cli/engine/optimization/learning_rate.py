"""The learning rate of each step: warm-up, decay, and what extensions of a run do to it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from iddm_cli.profiles.settings import TrainingSettings
from iddm_cli.profiles.training_length import count_warmup_steps


def _constant(_progress: float) -> float:
    return 1.0


def _linear(progress: float) -> float:
    return 1 - progress


def _cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2


LR_SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": _constant,
    "linear": _linear,
    "cosine": _cosine,
    "warmup_cosine": _cosine,
}


KEPT_PROGRESS = 0.95
"""An extension keeps the learning rate of this part of the decay: low, but above 0."""


@dataclass(frozen=True)
class LrPhase:
    """A part of a run in which the learning rate follows one rule.

    Attributes:
        start: Its first step.
        end: The step after its last one.
        rule: schedule, the warm-up and decay of a new run; keep, a low constant rate; rewarm, a
            warm-up from the rate before to lr, and the decay; decay, the decay alone.
    """

    start: int
    end: int
    rule: str


def list_lr_phases(settings: TrainingSettings, total: int) -> list[LrPhase]:
    """Return the phases of a run of `total` steps: one, and one more for each extension."""
    rules = [(0, "schedule")]
    rules += [(int(start), str(rule)) for start, rule in settings.extensions if int(start) < total]
    ends = [start for start, _ in rules[1:]] + [total]
    return [LrPhase(start, end, rule) for (start, rule), end in zip(rules, ends, strict=True)]


def lr_at(settings: TrainingSettings, step: int, total: int) -> float:
    """Return the learning rate of update number `step`, counted from 0, in a run of `total`."""
    phases = list_lr_phases(settings, total)
    index = max(i for i, phase in enumerate(phases) if phase.start <= max(step, 0))
    return _lr_in_phase(settings, phases[: index + 1], step)


def _lr_in_phase(settings: TrainingSettings, phases: list[LrPhase], step: int) -> float:
    """Return the learning rate of a step in the last of these phases."""
    phase, span = phases[-1], phases[-1].end - phases[-1].start
    if phase.rule == "keep":
        return _decay_lr(settings, KEPT_PROGRESS)
    step, before, warmup = step - phase.start, 0.0, 0
    if phase.rule == "schedule":
        warmup = count_warmup_steps(settings, span)
    elif phase.rule == "rewarm":
        warmup = min(settings.warmup_steps or max(1, span // 20), span)
        before = _lr_in_phase(settings, phases[:-1], phase.start - 1)
    if step < warmup and before:
        return before + (settings.lr - before) * (step + 1) / warmup
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    return _decay_lr(settings, (step - warmup) / max(1, span - warmup))


def _decay_lr(settings: TrainingSettings, progress: float) -> float:
    share = LR_SCHEDULES[settings.lr_schedule](min(progress, 1.0))
    return settings.lr * (share + (1 - share) * settings.lr_final)
