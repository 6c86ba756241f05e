"""The worker: the one thread that owns the models, and takes step after step."""

import threading
import time
import traceback
from collections.abc import Callable

import torch
from torch import Tensor

from iddm_cli.engine.image_generator import to_pixels
from iddm_cli.serving.scheduling.batcher import Drawing
from iddm_cli.serving.scheduling.scheduler import Desk
from iddm_cli.serving.scheduling.served_model import ServedModel
from iddm_cli.serving.scheduling.server_metrics import Metrics


class Worker:
    """Draws what the desk hands out until the desk says that all is over.

    Args:
        desk: Says whose turn it is.
        metrics: Counts steps and pictures.
        tell: Called with what went wrong, for whoever runs the server.
    """

    def __init__(self, desk: Desk, metrics: Metrics, tell: Callable[[str], None]) -> None:
        self.desk = desk
        self.metrics = metrics
        self.tell = tell
        self.thread = threading.Thread(target=self._run, name="iddm-worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def _run(self) -> None:
        while (batch := self.desk.next_batch()) is not None:
            model, drawings = batch
            try:
                self._step(model, drawings)
            except Exception:  # noqa: BLE001 - a step that fails must not end the server
                self.tell(f"a step of {model.name} failed:\n{traceback.format_exc()}")
                self.desk.failed(drawings)

    def _step(self, model: ServedModel, drawings: list[Drawing]) -> None:
        started = time.perf_counter()
        model.step(drawings)
        finished = {drawing: _pixels(drawing) for drawing in drawings if drawing.finished}
        seconds = time.perf_counter() - started
        self.desk.note_speed(len(drawings) / seconds)
        self.metrics.count("iddm_steps_total", model=model.name)
        self.metrics.observe("iddm_batch_images", len(drawings), model=model.name)
        self.metrics.observe("iddm_step_seconds", seconds, model=model.name)
        if finished:
            self.metrics.count("iddm_images_total", len(finished), model=model.name)
        self.desk.took_step(drawings, finished)


@torch.inference_mode()
def _pixels(drawing: Drawing) -> Tensor:
    """Return a finished picture, uint8, [H, W, C], and let go of what made it."""
    assert drawing.x_t is not None, "it took its steps"
    pixels = to_pixels(drawing.x_t).permute(1, 2, 0).contiguous().cpu()
    drawing.x_t = drawing.estimate = None
    return pixels
