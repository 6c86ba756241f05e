"""Rules of profiles whose network starts from a trained one."""

from collections.abc import Iterator

from iddm_cli.profiles.checking.issues import Issue
from iddm_cli.profiles.profile import Profile


def check_distilled(profile: Profile) -> Iterator[Issue]:
    """Yield the issues of a distilled run, or of one with adapters."""
    is_distilled = profile.distillation.is_enabled
    if is_distilled and profile.evaluation.loss_every != 0:
        yield Issue(
            ("evaluation", "loss_every"),
            "a distilled run has no held-out loss: the denoising loss rises as its network learns "
            "to reach the image in one call",
            "Set evaluation.loss_every: 0; evaluation.every measures generated images.",
        )
    if (is_distilled or profile.training.lora_rank) and profile.data.augment not in ("off", 0):
        kind = "distilled run" if is_distilled else "run with adapters"
        yield Issue(
            ("data", "augment"),
            f"a {kind} cannot use data.augment: its frozen network knows no augmentation",
            "Set data.augment: off.",
        )


def check_origin(profile: Profile) -> Iterator[Issue]:
    """Yield the issues of settings that name a trained model."""
    transfer = profile.transfer
    if transfer.is_enabled and profile.distillation.is_enabled:
        yield Issue(
            ("transfer", "source"),
            "transfer.source and distillation.teacher contradict each other: a network starts from "
            "one of them",
            "Leave one of them out.",
        )
    if profile.training.lora_rank and not transfer.is_enabled:
        yield Issue(
            ("training", "lora_rank"),
            "training.lora_rank needs transfer.source: adapters change a trained network",
            "Name the trained model: iddm train --from RUN.",
        )
    if profile.training.lora_rank and profile.runtime.sharding != "none":
        yield Issue(
            ("training", "lora_rank"),
            "training.lora_rank does not work with runtime.sharding: fsdp",
            "Set runtime.sharding: none.",
        )
    if transfer.rename and not transfer.is_enabled:
        yield Issue(
            ("transfer", "rename"),
            "transfer.rename has no effect without transfer.source: only classes of a trained "
            "model have an old name",
            "Name the trained model: iddm train --from RUN.",
        )
