"""Changed settings: what differs from what a checkpoint was trained with, and what that does."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from iddm_cli.errors import UsageError
from iddm_cli.profiles.overrides import select_recipe
from iddm_cli.profiles.settings import TrainingSettings

if TYPE_CHECKING:
    from iddm_cli.engine.trainer import Trainer
    from iddm_cli.profiles.profile import Profile

MAX_SHOWN = 60
LENGTH, EXTENSIONS = "training.steps", "training.extensions"
LR_KEYS = ("training.lr", "training.lr_schedule", "training.lr_final", "training.warmup_steps",
           EXTENSIONS)  # fmt: skip
"""Keys whose effect is the learning rate, which has a line of its own."""

EFFECTS = {
    "training.optimizer": "the optimizer's moments are kept: adam and adamw have the same ones",
    "training.betas": "the optimizer's moments are kept, and decay with the new betas from now on",
    "training.ema_decay": "the EMA weights are kept, and decay with the new value from now on",
    "training.seed": "data order, augmentation, noise and dropped labels change from now on; the "
    "weights are kept",
    "diffusion": "the weights were trained with the old value and must adapt to the new one",
}
"""What a changed setting does; a setting of a section without a row applies from now on."""


@dataclass(frozen=True)
class Change:
    """A setting that differs.

    Attributes:
        key: Its dotted key.
        before: The value that the checkpoint was trained with.
        now: The value that training continues with.
    """

    key: str
    before: object
    now: object

    def __str__(self) -> str:
        return f"{self.key} {format_value(self.before)} → {format_value(self.now)}"


def find_changes(before: Mapping[str, object], now: Mapping[str, object]) -> list[Change]:
    """Return the settings of both that differ, in the order of the profile."""
    return [
        Change(key, before[key], value)
        for key, value in now.items()
        if key in before and before[key] != value
    ]


def format_value(value: object) -> str:
    """Return a setting as a profile writes it, shortened in the middle."""
    text = value if isinstance(value, str) else json.dumps(value)
    half = MAX_SHOWN // 2
    return text if len(text) <= MAX_SHOWN else f"{text[:half]}...{text[-half:]}"


def explain_changes(changes: Iterable[Change], *, step: int) -> list[str]:
    """Return a sentence for each change, except those of the learning rate.

    Args:
        changes: The changes of settings that decide the weights.
        step: Number of updates made.
    """
    return [
        f"{change}: {_explain(change, step)}"
        for change in changes
        if change.key not in (LENGTH, *LR_KEYS)
    ]


def _explain(change: Change, step: int) -> str:
    if change.key == "training.batch_size":
        old, new = (step * int(size) for size in (change.before, change.now))  # type: ignore[call-overload]
        return (
            f"every update takes {change.now} images from now on, and the data order continues at "
            f"its image {new:,} instead of {old:,}"
        )
    section = change.key.split(".")[0]
    default = "the new value applies from now on"
    return EFFECTS.get(change.key, EFFECTS.get(section, default))


def select_exact(changes: Iterable[Change], *, same_rates: bool) -> list[Change]:
    """Return the changes that keep a run from its former bits.

    Args:
        changes: The changes of settings that decide the weights.
        same_rates: Whether the learning rate of every step so far is as before: then neither the
            length nor the extensions matter.
    """
    changes = [change for change in changes if change.key != EXTENSIONS or not same_rates]
    others = [change for change in changes if change.key != EXTENSIONS]
    if same_rates:
        return [change for change in others if change.key != LENGTH]
    return others or changes


def check_same_moments(recipe: Mapping[str, object], training: TrainingSettings) -> None:
    """Check that the optimizer of a checkpoint keeps what the present one needs.

    Args:
        recipe: The settings that the checkpoint was trained with; empty: unknown.
        training: The settings to continue with.

    Raises:
        UsageError: One of them is muon, and the other is not.
    """
    before, now = recipe.get("training.optimizer", training.optimizer), training.optimizer
    if before != now and "muon" in (before, now):
        raise UsageError(
            f"training.optimizer cannot change from {before} to {now} in a run: the checkpoint has "
            f"no state of {now} for the hidden weights",
            f"Continue with --set training.optimizer={before}, or start a new run.",
        )


def settings_of(recipe: Mapping[str, object], like: TrainingSettings) -> TrainingSettings:
    """Return the training section of a recipe; what it does not contain is as in `like`."""
    values: dict[str, Any] = like.model_dump()
    values |= {key: recipe[f"training.{key}"] for key in values if f"training.{key}" in recipe}
    values["epochs"] = None if values["steps"] is not None else values["epochs"]
    try:
        return TrainingSettings.model_validate(values)
    except ValidationError:  # another version of iddm wrote it
        return like


def compare_settings(
    recipe: Mapping[str, object], trainer: "Trainer"
) -> tuple[list[Change], list[str]]:
    """Compare what a checkpoint was trained with to what the trainer continues with.

    Args:
        recipe: The settings that decided the weights, with the number of steps; empty: unknown.
        trainer: The trainer, at the checkpoint's step.

    Returns:
        The changes that keep the run from its former bits, and a sentence on each effect.
    """
    changes = find_changes(recipe, trainer.recipe)
    if not changes or trainer.step == 0:
        return [], []
    before = settings_of(recipe, trainer.settings)
    report = explain_changes(changes, step=trainer.step)
    schedule = [change for change in changes if change.key in (LENGTH, *LR_KEYS)]
    if schedule:
        named = ", ".join(str(c) for c in schedule if c.key != EXTENSIONS)
        report.append(f"{named or 'training.lr_extension'}: {describe_rates(before, trainer)}")
    return select_exact(changes, same_rates=had_same_rates(before, trainer)), report


def list_changes_without_effect(stored: "Profile", wanted: "Profile") -> list[Change]:
    """Return the changed settings of a run that do not decide its weights.

    Those of runtime are left out: where a run computes is printed with the checkpoint's numerics.
    """
    before, now = stored.flatten(), wanted.flatten()
    recipe, length = select_recipe(wanted), ("training.steps", "training.epochs")
    return [
        change
        for change in find_changes(before, now)
        if change.key not in recipe and change.key not in length
        and not change.key.startswith("runtime.")
    ]  # fmt: skip


def describe_rates(before: TrainingSettings, trainer: "Trainer") -> str:
    """Return how the learning rate continues, and how it could: one sentence.

    Args:
        before: What the checkpoint was trained with; `steps` is what its run was to make.
        trainer: The trainer, at the checkpoint's step.
    """
    from iddm_cli.engine.optimization.learning_rate import lr_at

    settings, step, total = trainer.settings, trainer.step, trainer.total_steps
    planned = before.steps or total
    if step >= total:
        return f"the run has made all its {total} steps"
    scale = trainer.state.lr_scale
    last = scale * lr_at(before, step - 1, planned)
    first, final = (scale * lr_at(settings, s, total) for s in (step, total - 1))
    peak = max(scale * lr_at(settings, s, total) for s in _sample_steps(step, total))
    course = f"{first:.2g} in step {step + 1}"
    if peak > 1.05 * first:
        course += f", up to {peak:.2g}"
    if abs(final - first) > 0.05 * max(first, final) or peak > 1.05 * first:
        course += f", {final:.2g} in step {total}"
    else:
        course += f", constant to step {total}"
    return (
        f"the learning rate was {last:.2g} in step {step} and is {course}; "
        f"{_describe_rule(trainer, planned)}"
    )


def _sample_steps(start: int, stop: int) -> list[int]:
    count = min(64, stop - start)
    return [start + i * (stop - start) // count for i in range(count)]


def _describe_rule(trainer: "Trainer", planned: int) -> str:
    from iddm_cli.engine.optimization.learning_rate import list_lr_phases

    settings, total = trainer.settings, trainer.total_steps
    phase = list_lr_phases(settings, total)[-1]
    schedule, option = settings.lr_schedule, "--set training.lr_extension="
    if schedule == "constant":
        return "the schedule is constant"
    if phase.rule == "keep":
        return (
            f"the {schedule} decay ends at step {phase.start} and its low rate is kept, which "
            f"refines the model only a little; {option}rewarm raises it to {settings.lr:.2g} and "
            "decays again"
        )
    if phase.rule in ("rewarm", "decay"):
        return f"the {schedule} schedule starts anew at step {phase.start}"
    if total == planned:
        return f"the {schedule} schedule has the new settings"
    verb = "stretched" if total > planned else "shortened"
    keep = f"; {option}keep would end it at step {planned} and keep its low rate"
    return f"the {schedule} schedule is {verb} from {planned} steps to {total}" + (
        keep if total > planned else ""
    )


def had_same_rates(before: TrainingSettings, trainer: "Trainer") -> bool:
    """Return whether the learning rate of the steps made is what the settings say now."""
    from iddm_cli.engine.optimization.learning_rate import lr_at

    planned = before.steps or trainer.total_steps
    return all(
        lr_at(before, step, planned) == lr_at(trainer.settings, step, trainer.total_steps)
        for step in [*_sample_steps(0, trainer.step), trainer.step - 1]
    )
