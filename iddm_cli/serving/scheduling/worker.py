"""The sampling worker: the one thread that runs the models, solver step by solver step."""

import threading
import time
import traceback
from collections.abc import Callable

import torch
from torch import Tensor

from iddm_cli.engine.image_generator import to_pixels
from iddm_cli.serving.scheduling.batcher import InFlightSample
from iddm_cli.serving.scheduling.scheduler import RequestScheduler
from iddm_cli.serving.scheduling.served_model import ServedModel
from iddm_cli.serving.scheduling.server_metrics import ServerMetrics


class SamplingWorker:
    """Computes the scheduler's batches until the scheduler has stopped.

    Args:
        scheduler: Chooses the batches.
        metrics: Records steps and images.
        report: Called with a description of each failure, for the server's operator.
    """

    def __init__(
        self,
        scheduler: RequestScheduler,
        metrics: ServerMetrics,
        report: Callable[[str], None],
    ) -> None:
        self.scheduler = scheduler
        self.metrics = metrics
        self.report = report
        self.thread = threading.Thread(target=self._run, name="iddm-worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def _run(self) -> None:
        while (batch := self.scheduler.next_batch()) is not None:
            model, samples = batch
            try:
                self._step(model, samples)
            except Exception:  # noqa: BLE001 - a failed step must not end the server
                self.report(f"a step of {model.name} failed:\n{traceback.format_exc()}")
                self.scheduler.fail(samples)

    def _step(self, model: ServedModel, samples: list[InFlightSample]) -> None:
        started = time.perf_counter()
        model.advance(samples)
        finished = {sample: _take_pixels(sample, model) for sample in samples if sample.finished}
        seconds = time.perf_counter() - started
        self.scheduler.update_throughput(len(samples) / seconds)
        self.metrics.count("iddm_steps_total", model=model.name)
        self.metrics.observe("iddm_batch_images", len(samples), model=model.name)
        self.metrics.observe("iddm_step_seconds", seconds, model=model.name)
        if finished:
            self.metrics.count("iddm_images_total", len(finished), model=model.name)
        self.scheduler.complete_step(samples, finished)


@torch.inference_mode()
def _take_pixels(sample: InFlightSample, model: ServedModel) -> Tensor:
    """Return a finished image, [H, W, C], and release the sample's tensors."""
    assert sample.x_t is not None, "a finished sample has taken its steps"
    x = sample.plan.crop(model.decode(sample.x_t))
    pixels = to_pixels(x, model.values.levels).permute(1, 2, 0).contiguous().cpu()
    sample.release()
    return pixels
