"""Evaluations during a training: when they are due, and what they find."""

import math
from collections.abc import Callable

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.engine.monitoring.evaluation_history import EvaluationHistory
from iddm_cli.engine.monitoring.held_out_loss import HeldOutLoss
from iddm_cli.engine.monitoring.loss_plan import LossPlan, plan_loss
from iddm_cli.profiles.evaluation_metrics import BEST_METRICS
from iddm_cli.profiles.evaluation_settings import EvaluationSettings

Evaluate = Callable[[Denoiser, int], dict[str, float]]
"""`evaluate(ema, step)` returns metrics of generated images by name, such as mind and frechet.

Collective: every process must call it; the main process gets the values.
"""


class Evaluations:
    """The evaluations of a training: the held-out loss, and metrics of generated images.

    Args:
        settings: The profile's evaluation section; None: its defaults.
        held_out_loss: Computes the held-out loss; None where there are no held-out images.
        evaluate: Evaluates generated images; None: nothing does.
        total_steps: Updates of the whole training.
        batch_size: Images of an update.
        group: The processes that train together.

    Attributes:
        plan: When and on how many images the held-out loss is computed; None: never.
    """

    def __init__(
        self,
        settings: EvaluationSettings | None,
        *,
        held_out_loss: HeldOutLoss | None = None,
        evaluate: Evaluate | None = None,
        total_steps: int,
        batch_size: int,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.settings = settings or EvaluationSettings()
        self.held_out_loss = held_out_loss
        self.evaluate = evaluate
        self.total_steps = total_steps
        self.batch_size = batch_size
        self.group = group
        self.plan = self._plan_loss(None)

    def _plan_loss(self, images: int | None) -> LossPlan | None:
        every = self.settings.loss_every
        if self.held_out_loss is None or every == 0:
            return None
        return plan_loss(
            self.total_steps,
            self.batch_size,
            self.held_out_loss.available,
            every=None if every == "auto" else every,
            images=images,
            bands=self.held_out_loss.bands,
        )

    def follow(self, history: EvaluationHistory) -> None:
        """Continue a history: its images are kept, so that the losses stay comparable.

        Where that is impossible, since they have another seed or are too few now, the history
        forgets its losses.
        """
        if self.held_out_loss is None:
            return
        seed, known = self.held_out_loss.seed, history.images
        if known and history.seed == seed and known <= self.held_out_loss.available:
            self.plan = self._plan_loss(known)
            return
        self.plan = self._plan_loss(None)
        history.forget_loss(images=self.plan.images if self.plan else 0, seed=seed)

    def is_due(self, step: int) -> bool:
        """Return whether anything is evaluated after so many updates."""
        return self._is_loss_due(step) or self._is_full_due(step)

    def _is_loss_due(self, step: int) -> bool:
        return self.plan is not None and self.plan.is_due(step, self.total_steps)

    def _is_full_due(self, step: int) -> bool:
        every = self.settings.every
        wanted = self.evaluate is not None and every > 0
        return wanted and (step % every == 0 or step == self.total_steps)

    def run(
        self, ema: Denoiser, step: int, *, batch_size: int, stopping: bool = False
    ) -> dict[str, float]:
        """Return what is due after so many updates, by name.

        Collective: every process must call it, and all get the same values.

        Args:
            ema: The denoiser with its EMA weights, in evaluation mode.
            step: Number of updates made.
            batch_size: Images that this process computes at once; the largest of all is used.
            stopping: Whether a stop was requested, which does not wait for generated images.
        """
        batch_size = self.group.all_reduce_max(batch_size)
        values: dict[str, float] = {}
        if self.held_out_loss is not None and self.plan is not None and self._is_loss_due(step):
            values |= self.held_out_loss.compute(ema, self.plan.images, batch_size=batch_size)
        if self.evaluate is not None and self._is_full_due(step) and not stopping:
            values |= self.group.broadcast(self.evaluate(ema, step))
        return values

    def close(self) -> None:
        """Release the held-out images."""
        if self.held_out_loss is not None:
            self.held_out_loss.close()


def select_best_metrics(values: dict[str, float]) -> dict[str, float]:
    """Return the finite values by which checkpoints are compared, as state.json holds them."""
    return {
        name: values[name] for name in BEST_METRICS if math.isfinite(values.get(name, math.nan))
    }
