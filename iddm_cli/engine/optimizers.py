"""Optimizers and the learning rate of each step."""

import math
from collections.abc import Callable

import torch
from torch import nn

from iddm_cli.settings import TrainingSettings

OPTIMIZERS: dict[str, type[torch.optim.AdamW] | type[torch.optim.Adam]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
}


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


def warmup_length(settings: TrainingSettings, total: int) -> int:
    """Return how many steps the learning rate rises for."""
    if settings.lr_schedule == "warmup_cosine" and settings.warmup_steps == 0:
        return max(1, total // 20)
    return settings.warmup_steps


def lr_at(settings: TrainingSettings, step: int, total: int) -> float:
    """Return the learning rate of update number `step`, counted from 0, in a run of `total`."""
    warmup = warmup_length(settings, total)
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    share = LR_SCHEDULES[settings.lr_schedule](min(progress, 1.0))
    return settings.lr * (share + (1 - share) * settings.lr_final)


def make_optimizer(module: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Return the optimizer over a module's parameters, in one fused kernel where there is one."""
    device = next(module.parameters()).device
    return OPTIMIZERS[settings.optimizer](
        module.parameters(),
        lr=settings.lr,
        betas=(settings.betas[0], settings.betas[1]),
        weight_decay=settings.weight_decay,
        fused=device.type in ("cpu", "cuda"),
    )
