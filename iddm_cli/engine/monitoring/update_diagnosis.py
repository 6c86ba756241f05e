"""The diagnosis of an update whose numbers were not finite: it is computed once more."""

import torch
from torch import Tensor

from iddm_cli.engine import randomness
from iddm_cli.engine.monitoring import nonfinite
from iddm_cli.engine.monitoring.nonfinite import SkippedUpdates
from iddm_cli.engine.train_step import TrainStep


def diagnose_update(train_step: TrainStep, skipped: SkippedUpdates) -> str:
    """Return where the numbers were not finite. Collective: every process must call it.

    Nothing has changed since the first skipped update, so its gradients can be computed again.
    """
    step, group = skipped.first, train_step.group
    randomness.seed_library(train_step.settings.seed, "dropout", step=step)
    with nonfinite.measure_gradients(train_step.denoiser.backbone, group) as norms:
        parts = train_step.state.micro_batch.split(train_step.slots)
        losses = torch.cat([_compute_with_gradients(train_step, step, slots) for slots in parts])
    indices = train_step.batches.indices(step, train_step.slots)
    by_image = dict(zip(indices.tolist(), losses.tolist(), strict=True))
    observed = group.gather_object(nonfinite.ObservedUpdate(by_image, norms))
    rolled_back = train_step.state.lr_scale < 1
    text = ""
    if group.is_main:
        text = nonfinite.diagnose(skipped, observed, rolled_back=rolled_back)
    return group.broadcast(text)


def _compute_with_gradients(train_step: TrainStep, step: int, slots: Tensor) -> Tensor:
    losses = train_step.losses(step, slots, train_step.denoiser)
    (losses.sum() / train_step.settings.batch_size).backward()
    return losses.detach()
