"""Contradictions: settings that are each allowed, and cannot work together."""

import math
from collections.abc import Iterator, Sequence

from iddm_cli.profiles.messages import Issue
from iddm_cli.profiles.profile import Profile
from iddm_cli.profiles.settings import (
    LARGEST_SIDE,
    NETWORK_SETTINGS,
    DataSettings,
    ModelSettings,
    RuntimeSettings,
    SamplingSettings,
    TrainingSettings,
)


def check_rules(profile: Profile) -> Iterator[Issue]:
    """Yield every contradiction in a profile."""
    yield from _image_size(profile.data, profile.model)
    yield from _not_of_this_network(profile.model)
    if profile.model.network == "unet":
        yield from _widths(profile.model)
    yield from _length(profile.training)
    yield from _betas(profile.training)
    yield from _sampling(profile.sampling, profile.diffusion.timesteps)
    yield from _sharding(profile.runtime, profile.training)
    no_labels = profile.training.label_drop == 0 and profile.data.conditional is not False
    if no_labels and profile.sampling.guidance != 1:
        yield Issue(
            ("sampling", "guidance"),
            "guidance needs training.label_drop above 0: it compares with and without the class",
            "Set sampling.guidance: 1, or training.label_drop: 0.1.",
        )


def _image_size(data: DataSettings, model: ModelSettings) -> Iterator[Issue]:
    reduction, why = _reduction(model)
    if all(side % reduction == 0 for side in data.size):
        return
    down = [max(1, side // reduction) * reduction for side in data.size]
    up = [-(-side // reduction) * reduction for side in data.size]
    sizes = [down, up] if max(up) <= LARGEST_SIDE else [down]
    height, width = data.size
    yield Issue(
        ("data", "image_size"),
        f"an image size of {height} x {width} must be divisible by {reduction}: {why}",
        f"Sizes that work: {', '.join(f'{high}x{wide}' for high, wide in sizes)}.",
    )


def _reduction(model: ModelSettings) -> tuple[int, str]:
    """Return by how much a network reduces height and width, and why."""
    if model.network == "iddm-unet":
        return 8, "iddm-unet halves it three times"
    reduction = model.patch_size * 2 ** (len(model.channel_multipliers) - 1)
    return reduction, "model.patch_size times two for each level after the first"


def _not_of_this_network(model: ModelSettings) -> Iterator[Issue]:
    """Yield the settings that were given, and that this network does not have."""
    of_its_own = ("network", *NETWORK_SETTINGS[model.network])
    for key, field in type(model).model_fields.items():
        if key not in of_its_own and getattr(model, key) != field.default:
            owners = [name for name, keys in NETWORK_SETTINGS.items() if key in keys]
            yield Issue(
                ("model", key),
                f"model.{key} belongs to {', '.join(owners)}, not to {model.network}",
                "Leave it out.",
            )


def _widths(model: ModelSettings) -> Iterator[Issue]:
    widths = [model.base_channels * multiplier for multiplier in model.channel_multipliers]
    for level in model.attention_levels:
        if level >= len(widths):
            yield Issue(
                ("model", "attention_levels"),
                f"there is no level {level}: channel_multipliers makes levels 0 to "
                f"{len(widths) - 1}",
            )
    if len(set(model.attention_levels)) < len(model.attention_levels):
        yield Issue(("model", "attention_levels"), "attention_levels names a level twice")
    yield from _indivisible("norm_groups", model.norm_groups, widths)
    attended = {widths[level] for level in model.attention_levels if level < len(widths)}
    if model.head_channels is not None:
        heads = sorted({*attended, widths[-1]})
        yield from _indivisible("head_channels", model.head_channels, heads)
    if model.base_channels % 2:
        yield Issue(("model", "base_channels"), "base_channels must be even")
    elif model.base_channels < 2 + 2 * model.frequency_shift:
        yield Issue(
            ("model", "base_channels"), "frequency_shift 1 needs base_channels of 4 or more"
        )


def _indivisible(key: str, number: int, widths: Sequence[int]) -> Iterator[Issue]:
    wrong = [width for width in widths if width % number]
    if not wrong:
        return
    common = math.gcd(*widths)
    near = next(divisor for divisor in range(number, 0, -1) if common % divisor == 0)
    yield Issue(
        ("model", key),
        f"{key} {number} does not divide the {wrong[0]} channels of a level",
        f"{near} would.",
    )


def _betas(training: TrainingSettings) -> Iterator[Issue]:
    if not all(0 <= beta < 1 for beta in training.betas):
        yield Issue(("training", "betas"), "each of training.betas must be at least 0 and below 1")


def _length(training: TrainingSettings) -> Iterator[Issue]:
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
            f"{training.warmup_steps} warm-up steps leave nothing of a run of "
            f"{training.steps} steps",
        )
    if isinstance(training.micro_batch, int) and training.micro_batch > training.batch_size:
        yield Issue(
            ("training", "micro_batch"),
            f"micro_batch {training.micro_batch} is larger than batch_size {training.batch_size}",
        )


def _sharding(runtime: RuntimeSettings, training: TrainingSettings) -> Iterator[Issue]:
    if runtime.sharding == "none":
        return
    if runtime.precision == "fp16":
        yield Issue(
            ("runtime", "precision"),
            "fp16 needs one scale for all gradients, which runtime.sharding: fsdp does not keep",
            "Use bf16, which needs none.",
        )
    if training.micro_batch == "auto":
        yield Issue(
            ("training", "micro_batch"),
            "micro_batch: auto cannot try out what fits where runtime.sharding: fsdp divides the "
            "network: no process computes alone",
            "Give micro_batch a number.",
        )


def _sampling(sampling: SamplingSettings, timesteps: int) -> Iterator[Issue]:
    if sampling.eta != 0 and sampling.sampler != "ddim":
        yield Issue(("sampling", "eta"), f"eta belongs to ddim, not to {sampling.sampler}")
    if sampling.steps is not None and sampling.steps > timesteps:
        yield Issue(
            ("sampling", "steps"),
            f"{sampling.steps} sampling steps are more than the {timesteps} timesteps "
            "of the schedule",
        )
