"""Rules between settings: values that are allowed each, but not together."""

import itertools
import re
from collections.abc import Iterator

from iddm_cli.profiles.checking.issues import Issue
from iddm_cli.profiles.checking.latent_rules import check_latents
from iddm_cli.profiles.checking.origin_rules import check_distilled, check_origin
from iddm_cli.profiles.checking.size_rules import check_crops, check_image_size, check_positions
from iddm_cli.profiles.checking.upscaling_rules import check_upscaler
from iddm_cli.profiles.choices import SAMPLER_SPECIFIC, SAMPLERS, TIME_DISTRIBUTIONS, list_names
from iddm_cli.profiles.evaluation_metrics import BEST_METRICS
from iddm_cli.profiles.evaluation_settings import EvaluationSettings
from iddm_cli.profiles.profile import Profile
from iddm_cli.profiles.settings import (
    DataSettings,
    DiffusionSettings,
    RuntimeSettings,
    SamplingSettings,
    TrainingSettings,
)

LOSS_HINT = "Set evaluation.loss_every: auto."
EXAMPLE = "For cat_001.png, write ([a-z]+)_"


def check_rules(profile: Profile) -> Iterator[Issue]:
    """Yield the issues between the settings of a profile."""
    yield from _check_labels(profile.data)
    yield from _check_archive_encoding(profile.data)
    yield from check_image_size(profile)
    yield from check_crops(profile.data)
    yield from check_positions(profile)
    yield from _check_value_range(profile.data)
    yield from profile.model.check()
    yield from check_upscaler(profile)
    yield from _check_length(profile.training)
    yield from _check_optimizer(profile.training)
    yield from _check_times(profile.diffusion)
    yield from _check_zero_terminal_snr(profile.diffusion)
    yield from _check_extensions(profile.training)
    yield from _check_sampling(profile.sampling, profile.diffusion.timesteps)
    yield from _check_sharding(profile.runtime, profile.training)
    yield from _check_guidance(profile)
    yield from _check_best(profile.training, profile.evaluation)
    yield from check_origin(profile)
    yield from check_distilled(profile)
    yield from check_latents(profile)


def check_untrained(profile: Profile) -> Iterator[Issue]:
    """Yield the issues of a profile that is to be trained: nothing is tuned to its network yet."""
    sampler = profile.sampling.sampler
    if SAMPLERS[sampler].needs_tables:
        yield Issue(
            ("sampling", "sampler"),
            f"sampling.sampler: {sampler} needs a trained network, and training samples grids "
            "before there is one",
            "Set another one, such as dpmpp-2m. Afterwards: iddm tune-sampler RUN, then iddm "
            "generate RUN --sampler tuned",
        )


def find_guidance_issue(profile: Profile) -> Issue | None:
    """Return why a guidance scale other than 1 does not work for a profile; None where it does."""
    key = ("sampling", "guidance")
    if profile.training.label_drop > 0 or profile.data.conditional is False:
        return None
    folded = profile.distillation.guidance
    if profile.distillation.is_enabled and folded != 1:
        return Issue(
            key,
            f"guidance {folded:g} is folded into this distilled network, so it samples with "
            "sampling.guidance 1",
            "Leave guidance out; for another scale, distil its teacher again with iddm distill "
            "--guidance.",
        )
    return Issue(
        key,
        "guidance needs training.label_drop above 0: it combines conditional and unconditional "
        "predictions",
        "Set sampling.guidance: 1, or training.label_drop: 0.1.",
    )


def _check_guidance(profile: Profile) -> Iterator[Issue]:
    for section, settings in (
        ("sampling", profile.sampling),
        ("distillation", profile.distillation),
    ):
        low, high = settings.guidance_interval
        if low > high:
            yield Issue(
                (section, "guidance_interval"),
                f"the first number of {section}.guidance_interval, {low:g}, must not exceed the "
                f"second, {high:g}",
                "Give [low, high], such as [0.2, 0.8]; [0, 1] guides every step.",
            )
    if profile.sampling.guidance != 1 and (issue := find_guidance_issue(profile)):
        yield issue


def _check_best(training: TrainingSettings, evaluation: EvaluationSettings) -> Iterator[Issue]:
    if evaluation.loss_every == 0 and training.stop_when is not None:
        yield Issue(
            ("training", "stop_when"),
            f"training.stop_when: {training.stop_when} needs the held-out loss, which "
            "evaluation.loss_every: 0 disables",
            LOSS_HINT,
        )
    name = training.keep_best
    source = BEST_METRICS[name].source if name else "steps"
    if source == "held_out" and evaluation.loss_every == 0:
        yield Issue(
            ("training", "keep_best"),
            f"training.keep_best: {name} needs the held-out loss, which evaluation.loss_every: 0 "
            "disables",
            LOSS_HINT,
        )
    if source == "evaluation" and evaluation.every == 0:
        yield Issue(
            ("training", "keep_best"),
            f"training.keep_best: {name} needs evaluations during training, which "
            "evaluation.every: 0 disables",
            "Set evaluation.every to a number of steps, such as 500.",
        )


def _check_labels(data: DataSettings) -> Iterator[Issue]:
    if data.label_pattern is None:
        return
    key = ("data", "label_pattern")
    try:
        groups = re.compile(data.label_pattern).groups
    except (re.error, RecursionError, OverflowError) as error:
        yield Issue(key, f"{data.label_pattern} is not a regular expression: {error}", EXAMPLE)
        return
    if not groups:
        yield Issue(key, f"{data.label_pattern} has no group in parentheses for the class", EXAMPLE)
    if data.label_column != DataSettings.model_fields["label_column"].default:
        yield Issue(
            key, "data.label_pattern and data.label_column contradict each other", "Give one."
        )


def _check_archive_encoding(data: DataSettings) -> Iterator[Issue]:
    name = data.archive_encoding
    if name == "auto":
        return
    try:
        b"a".decode(name)
    except (LookupError, ValueError):
        yield Issue(
            ("data", "archive_encoding"),
            f"{name} is not an encoding of text",
            "Set auto, or for example gbk, shift_jis, cp866, big5, euc_kr or cp437.",
        )


def _check_value_range(data: DataSettings) -> Iterator[Issue]:
    if data.value_range == "auto":
        return
    low, high = data.value_range
    if not low < high:
        yield Issue(
            ("data", "value_range"),
            f"the first number of data.value_range, {low:g}, must be below the second, {high:g}",
            "Give [low, high], in the units of the files; or auto.",
        )


def _check_optimizer(training: TrainingSettings) -> Iterator[Issue]:
    default = TrainingSettings.model_fields["muon_lr"].default
    if training.optimizer != "muon" and training.muon_lr != default:
        yield Issue(
            ("training", "muon_lr"),
            f"training.muon_lr has no effect with training.optimizer: {training.optimizer}",
            "Set training.optimizer: muon, or leave training.muon_lr out.",
        )
    if not all(0 <= beta < 1 for beta in training.betas):
        yield Issue(("training", "betas"), "each of training.betas must be at least 0 and below 1")


def _check_zero_terminal_snr(diffusion: DiffusionSettings) -> Iterator[Issue]:
    key = ("diffusion", "zero_terminal_snr")
    if not diffusion.zero_terminal_snr:
        return
    if diffusion.schedule == "flow":
        yield Issue(
            key,
            "diffusion.zero_terminal_snr has no effect with diffusion.schedule: flow",
            "Leave it out: this schedule ends in noise by itself.",
        )
    if diffusion.prediction == "epsilon":
        yield Issue(
            key,
            "diffusion.zero_terminal_snr does not work with diffusion.prediction: epsilon: from "
            "pure noise, the noise says nothing about the image",
            "Set diffusion.prediction: v.",
        )


def _check_times(diffusion: DiffusionSettings) -> Iterator[Issue]:
    name = diffusion.time_distribution
    if TIME_DISTRIBUTIONS[name].mean is not None:
        return
    for key in ("time_mean", "time_deviation"):
        if getattr(diffusion, key) is not None:
            yield Issue(
                ("diffusion", key),
                f"diffusion.{key} has no effect with diffusion.time_distribution: {name}",
                "Set diffusion.time_distribution: logit-normal, or leave it out.",
            )


def _check_extensions(training: TrainingSettings) -> Iterator[Issue]:
    entries = training.extensions
    pairs = all(
        len(entry) == 2 and isinstance(entry[0], int) and isinstance(entry[1], str)
        for entry in entries
    )
    if not pairs or any(int(b[0]) <= int(a[0]) for a, b in itertools.pairwise(entries)):
        yield Issue(
            ("training", "extensions"),
            "training.extensions must be pairs of a step and keep, rewarm or decay, in the order "
            "of their steps",
            "Leave it to iddm resume, which writes it.",
        )


def _check_length(training: TrainingSettings) -> Iterator[Issue]:
    if training.steps is None and training.epochs is None:
        yield Issue(("training", "steps"), "a run needs training.steps or training.epochs")
    if training.steps is not None and training.epochs is not None:
        yield Issue(
            ("training", "epochs"),
            "training.steps and training.epochs contradict each other",
            "Give one of them.",
        )
    if training.steps is not None and training.warmup_steps >= training.steps:
        yield Issue(
            ("training", "warmup_steps"),
            f"{training.warmup_steps} warmup steps leave no step of a run of "
            f"{training.steps} steps",
        )
    if isinstance(training.micro_batch, int) and training.micro_batch > training.batch_size:
        yield Issue(
            ("training", "micro_batch"),
            f"micro_batch {training.micro_batch} is larger than batch_size {training.batch_size}",
        )


def _check_sharding(runtime: RuntimeSettings, training: TrainingSettings) -> Iterator[Issue]:
    if runtime.sharding == "none":
        return
    if runtime.precision == "fp16":
        yield Issue(
            ("runtime", "precision"),
            "fp16 needs a common gradient scale, which runtime.sharding: fsdp does not support",
            "Set runtime.precision: bf16, which needs no gradient scale.",
        )
    if training.micro_batch == "auto":
        yield Issue(
            ("training", "micro_batch"),
            "micro_batch: auto cannot probe the memory of one process, as runtime.sharding: fsdp "
            "shards the network",
            "Set training.micro_batch to a number.",
        )


def check_sampler_options(sampling: SamplingSettings) -> Iterator[Issue]:
    """Yield the issues of settings that only some samplers take, or in other ranges than others."""
    for key, default in SAMPLER_SPECIFIC.items():
        owners = [name for name, row in SAMPLERS.items() if key in row.options]
        if owners and sampling.sampler not in owners and getattr(sampling, key) != default:
            problem = f"{key} belongs to {list_names(owners)}, not to {sampling.sampler}"
            yield Issue(("sampling", key), problem)
    for key, (lowest, highest) in SAMPLERS[sampling.sampler].ranges.items():
        if not lowest <= (value := sampling.sampler_options[key]) <= highest:
            problem = f"{key} {value} of {sampling.sampler} must be {lowest} to {highest}"
            yield Issue(("sampling", key), problem, f"Leave out sampling.{key} for the default.")


def _check_sampling(sampling: SamplingSettings, timesteps: int) -> Iterator[Issue]:
    yield from check_sampler_options(sampling)
    if sampling.steps is not None and sampling.steps > timesteps:
        yield Issue(
            ("sampling", "steps"),
            f"{sampling.steps} network calls are more than the {timesteps} timesteps of the "
            "noise schedule",
        )
