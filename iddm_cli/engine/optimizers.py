"""Optimizers and the learning rate of each step."""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from iddm_cli.checkpoints.tensors import Tensors
from iddm_cli.profiles.settings import TrainingSettings
from iddm_cli.profiles.training_length import count_warmup_steps


class _NeverCompiled(torch.optim.Optimizer):
    """An optimizer of torch that does not import torch's compiler.

    torch.optim wraps these methods for the case that torch.compile meets them, and the wrappers
    import torch._dynamo, which takes about as long as importing torch itself. iddm compiles no
    optimizer, so it calls what is inside the wrappers: functools.wraps notes it, and inspect.unwrap
    finds it. A method that a version of torch does not wrap is called as it is.
    """

    def _call_unwrapped(self, name: str, *args: object) -> Any:
        method = getattr(super(_NeverCompiled, type(self)), name)
        return inspect.unwrap(method)(self, *args)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, see torch.optim."""
        self._call_unwrapped("add_param_group", param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Discard all gradients, see torch.optim."""
        self._call_unwrapped("zero_grad", set_to_none)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the parameters, see torch.optim."""
        self._call_unwrapped("step", closure)


class AdamW(_NeverCompiled, torch.optim.AdamW):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101)."""


class Adam(_NeverCompiled, torch.optim.Adam):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980); weight decay is added to the gradient."""


OPTIMIZERS: dict[str, type[AdamW] | type[Adam]] = {"adamw": AdamW, "adam": Adam}


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
