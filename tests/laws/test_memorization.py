"""A model that is trained on a few images far too long: the held-out loss turns, and iddm sees it.

A fully connected network on 20 images of 8 x 8 learns in seconds where the bright square may be,
and then by heart where it was.
"""

import torch
from torch import nn

from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.retention import Retention
from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.engine import randomness
from iddm_cli.engine.events import Evaluated, LossGap, StoppedEarly
from iddm_cli.engine.monitoring.held_out_loss import EvaluationImages, HeldOutLoss
from iddm_cli.engine.train_step import TrainStep
from iddm_cli.engine.trainer import Trainer
from iddm_cli.profiles.evaluation_settings import EvaluationSettings
from iddm_cli.profiles.settings import TrainingSettings
from tests.threads import one_thread  # noqa: F401

FEW = 20
EVERY, PATIENCE = 10, 4


class Perceptron(nn.Module):
    """A network that can learn 20 images by heart."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(65, 512), nn.SiLU(), nn.Linear(512, 512), nn.SiLU(), nn.Linear(512, 64)
        )

    def forward(self, x_t, t, label):
        features = torch.cat([x_t.flatten(1), t[:, None] / 1000], dim=1)
        return self.layers(features).view(x_t.shape)


def draw_squares(count: int, seed: int) -> EvaluationImages:
    """Return dark noise with a bright square at a random place."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 80, (count, 1, 8, 8), generator=generator)
    for image, (top, left) in zip(
        pixels, torch.randint(0, 5, (count, 2), generator=generator).tolist(), strict=True
    ):
        image[0, top : top + 4, left : left + 4] += 150
    return EvaluationImages(
        MemoryStore(pixels.to(torch.uint8)), torch.zeros(count, dtype=torch.int64)
    )


def make(folder, *, images=FEW, steps=260, **changes) -> Trainer:
    randomness.seed_library(0, "weights", step=0)
    training, held_out = draw_squares(images, 1), draw_squares(64, 2)
    denoiser = Denoiser(Perceptron(), cosine_schedule(1000), prediction="v")
    settings = TrainingSettings(
        steps=steps, epochs=None, batch_size=64, lr=3e-3, lr_schedule="constant", ema_decay=0.97,
        log_every=999, checkpoint_every=999, sample_every=0, keep=2, **changes,
    )  # fmt: skip
    train_step = TrainStep(
        denoiser,
        BatchLoader(
            training.store,
            training.labels,
            batch_size=64,
            order=lambda epoch: randomness.permutation(0, "order", step=epoch, count=images),
        ),
        settings,
        times="stratified",
        precision="fp32",
        num_classes=0,
        numerics={},
    )
    loss = HeldOutLoss(held_out, training, size=(8, 8), seed=0, precision="fp32")
    return Trainer(
        train_step,
        checkpoints=CheckpointFolder(folder, Retention(2, best=settings.best_metric)),
        evaluation=EvaluationSettings(loss_every=EVERY, patience=PATIENCE),
        held_out_loss=loss,
    )


def curve(events) -> dict[int, float]:
    return {e.step: e.values["held_out_loss"] for e in events if isinstance(e, Evaluated)}


def test_the_held_out_loss_turns_and_the_run_stops_near_the_turn_with_the_best_checkpoint(tmp_path):
    events = list(make(tmp_path / "full").fit())
    losses = curve(events)
    turn = min(losses, key=losses.__getitem__)
    assert turn < 200, "20 images are learnt by heart before the end"
    assert losses[260] > 1.02 * losses[turn]
    (gap,) = [event for event in events if isinstance(event, LossGap)]
    assert turn <= gap.since + 3 * EVERY
    assert gap.training[1] < gap.training[0]

    early = make(tmp_path / "early", stop_when="held_out_worse")
    events = list(early.fit())
    assert events[-1] == StoppedEarly(turn + PATIENCE * EVERY, since=turn)
    assert curve(events) == {s: x for s, x in losses.items() if s <= turn + PATIENCE * EVERY}
    assert early.checkpoints.find_best("held_out_loss") == turn
    best = early.checkpoints.at(turn)
    assert best.metrics["held_out_loss"] == losses[turn]


def test_many_images_are_not_learnt_by_heart_in_the_same_time(tmp_path):
    trainer = make(tmp_path, images=2000, steps=180, stop_when="held_out_worse")
    events = list(trainer.fit())
    assert trainer.step == 180
    assert not any(isinstance(event, LossGap) for event in events)
