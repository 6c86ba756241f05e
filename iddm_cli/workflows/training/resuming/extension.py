"""Extensions: how the learning rate continues where a run gets more steps than it was planned for.

A schedule that is stretched over more steps throws the learning rate of a run that had decayed
back to about half its peak. So an extension after a decay keeps the low rate by default. The
profile records where each extension begins: the learning rate stays a function of profile and step.
"""

from iddm_cli.engine.optimization.learning_rate import list_lr_phases, lr_at
from iddm_cli.profiles.settings import LrExtensionName, TrainingSettings
from iddm_cli.profiles.training_length import count_steps, count_warmup_steps

DECAYED = 0.9
"""A decay of which this part is done counts as ended: the rate is no longer stretched."""

Extensions = list[list[int | str]]


def plan_extension(
    before: TrainingSettings, wanted: TrainingSettings, *, images: int, step: int
) -> TrainingSettings:
    """Return the wanted settings with `extensions` such that no rate is raised unless asked.

    Args:
        before: The training section of the run.
        wanted: The one that it is resumed with.
        images: Number of training images.
        step: Number of updates made.
    """
    planned, total = count_steps(before, images), count_steps(wanted, images)
    extensions: Extensions = [list(entry) for entry in wanted.extensions if int(entry[0]) < total]
    if step > 0:
        extensions = _extend(before, wanted, extensions, planned=planned, total=total, step=step)
    return wanted.model_copy(update={"extensions": extensions})


def _extend(
    before: TrainingSettings,
    wanted: TrainingSettings,
    extensions: Extensions,
    *,
    planned: int,
    total: int,
    step: int,
) -> Extensions:
    if wanted.lr_schedule == "constant":
        return extensions
    if before.lr_schedule == "constant":  # decay from here, not as if it had begun at step 0
        at_peak = step >= count_warmup_steps(before, planned)
        return [*_until(extensions, step), [step, "decay"]] if at_peak else extensions
    if total > planned:
        rule = choose_rule(before, wanted, planned=planned, step=step)
        start = max(planned, step)
    elif wanted.lr_extension != before.lr_extension:
        rule, start = wanted.lr_extension, step
        if not extensions or rule == "auto":  # nothing has been extended
            return extensions
    else:
        return extensions
    if rule == "stretch":
        kept = bool(extensions) and (total == planned or extensions[-1][1] == "keep")
        return extensions[:-1] if kept else extensions
    extensions = _until(extensions, start)
    kept = bool(extensions) and extensions[-1][1] == "keep"
    return extensions if kept and rule == "keep" else [*extensions, [start, rule]]


def choose_rule(
    before: TrainingSettings, wanted: TrainingSettings, *, planned: int, step: int
) -> LrExtensionName:
    """Return what `lr_extension` means for a run that is extended beyond its planned steps."""
    if wanted.lr_extension != "auto":
        return wanted.lr_extension
    last = list_lr_phases(before, planned)[-1]
    decayed = last.rule == "keep" or step - last.start >= DECAYED * (last.end - last.start)
    if decayed and wanted.lr > lr_at(before, planned - 1, planned) and wanted.lr != before.lr:
        return "rewarm"  # a new learning rate is what the user asks for
    return "keep" if decayed else "stretch"


def _until(extensions: Extensions, step: int) -> Extensions:
    return [entry for entry in extensions if int(entry[0]) < step]
