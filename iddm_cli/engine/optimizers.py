"""Optimizers and the learning rate of each step."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from iddm_cli.checkpoints.tensors import Tensors
from iddm_cli.profiles.settings import TrainingSettings

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


def count_warmup_steps(settings: TrainingSettings, total: int) -> int:
    """Return the number of warm-up steps, over which the learning rate rises."""
    if settings.lr_schedule == "warmup_cosine" and settings.warmup_steps == 0:
        return max(1, total // 20)
    return settings.warmup_steps


def lr_at(settings: TrainingSettings, step: int, total: int) -> float:
    """Return the learning rate of update number `step`, counted from 0, in a run of `total`."""
    warmup = count_warmup_steps(settings, total)
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    share = LR_SCHEDULES[settings.lr_schedule](min(progress, 1.0))
    return settings.lr * (share + (1 - share) * settings.lr_final)


def build_optimizer(module: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Return the optimizer over a module's parameters, with a fused kernel where there is one."""
    device = next(module.parameters()).device
    return OPTIMIZERS[settings.optimizer](
        module.parameters(),
        lr=settings.lr,
        betas=(settings.betas[0], settings.betas[1]),
        weight_decay=settings.weight_decay,
        fused=device.type in ("cpu", "cuda"),
    )


def initial_optimizer_state(weights: Tensors, settings: TrainingSettings) -> Tensors:
    """Return the state of an optimizer before its first update, named as in a checkpoint.

    Args:
        weights: The parameters, by name.
        settings: Which optimizer.
    """
    single = nn.Linear(1, 1, bias=False)
    single.weight.grad = torch.zeros_like(single.weight)
    optimizer = build_optimizer(single, settings)
    optimizer.step()
    return {
        f"{name}.{quantity}": torch.zeros_like(weight if value.dim() else value)
        for name, weight in weights.items()
        for quantity, value in optimizer.state[single.weight].items()
    }


def step_unless_skipped(
    skip: Tensor, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
) -> None:
    """Update the parameters, or leave them and the optimizer's state as they are.

    Args:
        skip: 1 where the update must be skipped, else 0: a scalar, float32.
        optimizer: From `make_optimizer`, its gradients unscaled.
        scaler: Where enabled, it decides by itself, from the same gradients.
    """
    if scaler.is_enabled():
        scaler.step(optimizer)
        scaler.update()
    elif optimizer.defaults["fused"] and not _is_sharded(optimizer):
        # As GradScaler does: the kernel reads the flag, and the host does not wait for the device.
        optimizer.grad_scale, optimizer.found_inf = None, skip  # type: ignore[attr-defined]
        optimizer.step()
    elif not bool(skip):
        optimizer.step()


def _is_sharded(optimizer: torch.optim.Optimizer) -> bool:
    return hasattr(optimizer.param_groups[0]["params"][0], "to_local")
