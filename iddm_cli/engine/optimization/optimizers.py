"""Optimizers: AdamW, Adam, and Muon for hidden weights with AdamW for the rest."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from iddm_cli.checkpoints.tensors import Tensors
from iddm_cli.engine.optimization.joint import JointOptimizer
from iddm_cli.engine.optimization.muon import Muon, split_hidden
from iddm_cli.engine.optimization.never_compiled import NeverCompiled
from iddm_cli.profiles.settings import OptimizerName, TrainingSettings

LR_RATIO = "lr_ratio"
"""Key of a parameter group: its learning rate as a multiple of `training.lr`."""


class AdamW(NeverCompiled, torch.optim.AdamW):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101)."""


class Adam(NeverCompiled, torch.optim.Adam):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980); weight decay is added to the gradient."""


def build_optimizer(
    backbone: nn.Module, settings: TrainingSettings, *, precision: str = "fp32"
) -> torch.optim.Optimizer:
    """Return the optimizer over a backbone's parameters.

    Args:
        backbone: The backbone.
        settings: Which optimizer, and its settings.
        precision: fp32, bf16 or fp16, in which the network is trained.
    """
    return OPTIMIZERS[settings.optimizer](backbone, settings, precision)


def _build_adam(
    kind: type[AdamW] | type[Adam], parameters: Iterable[Tensor], settings: TrainingSettings
) -> AdamW | Adam:
    """Return AdamW or Adam, with a fused kernel where there is one."""
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    return kind(
        parameters,
        lr=settings.lr,
        betas=(settings.betas[0], settings.betas[1]),
        weight_decay=settings.weight_decay,
        fused=parameters[0].device.type in ("cpu", "cuda"),
    )


def _build_muon(backbone: nn.Module, settings: TrainingSettings, precision: str) -> JointOptimizer:
    """Return AdamW, and Muon for the hidden weights; it computes in bf16 unless fp32 is wanted."""
    hidden, rest = split_hidden(backbone)
    muon = Muon(
        hidden,
        lr=settings.muon_lr,
        weight_decay=settings.weight_decay,
        dtype=torch.float32 if precision == "fp32" else torch.bfloat16,
    )
    muon.param_groups[0][LR_RATIO] = settings.muon_lr / settings.lr
    return JointOptimizer([_build_adam(AdamW, rest, settings), muon])


BuildOptimizer = Callable[[nn.Module, TrainingSettings, str], torch.optim.Optimizer]

OPTIMIZERS: dict[OptimizerName, BuildOptimizer] = {
    "adamw": lambda backbone, settings, _: _build_adam(AdamW, backbone.parameters(), settings),
    "adam": lambda backbone, settings, _: _build_adam(Adam, backbone.parameters(), settings),
    "muon": _build_muon,
}


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of the next update.

    Args:
        optimizer: From `build_optimizer`.
        lr: The learning rate where `training.lr` applies; other groups follow in proportion.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get(LR_RATIO, 1.0)


def clip_gradients(parameters: Sequence[Tensor], limit: float) -> Tensor:
    """Scale gradients down to a norm of `limit`; return their norm before, a scalar.

    As torch.nn.utils.clip_grad_norm_ does; on a CPU, where the norm can be read without waiting,
    gradients that are short enough are not multiplied by 1.

    Args:
        parameters: The parameters.
        limit: The largest norm; infinity: any.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    is_readable = norm.device.type == "cpu" and not hasattr(norm, "to_local")
    if not (is_readable and bool(limit / (norm + 1e-6) >= 1)):
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm


def initial_optimizer_state(weights: Tensors) -> Tensors:
    """Return the state of AdamW before its first update, named as in a checkpoint.

    Args:
        weights: The parameters, by name.
    """
    single = nn.Linear(1, 1, bias=False)
    single.weight.grad = torch.zeros_like(single.weight)
    optimizer = AdamW(single.parameters())
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
        optimizer: From `build_optimizer`, its gradients unscaled.
        scaler: Where enabled, it decides by itself, from the same gradients.
    """
    if scaler.is_enabled():
        scaler.step(optimizer)
        scaler.update()
        return
    for part in optimizer.parts if isinstance(optimizer, JointOptimizer) else (optimizer,):
        if isinstance(part, Muon) or (part.defaults["fused"] and not _is_sharded(part)):
            # As GradScaler does: the part reads the flag, the host does not wait for the device.
            part.grad_scale, part.found_inf = None, skip  # type: ignore[attr-defined]
            part.step()
        elif not bool(skip):
            part.step()


def _is_sharded(optimizer: torch.optim.Optimizer) -> bool:
    return hasattr(optimizer.param_groups[0]["params"][0], "to_local")
