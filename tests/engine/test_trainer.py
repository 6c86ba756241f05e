"""The trainer: a step is a function of settings, step and weights, and of nothing else."""

import copy
from pathlib import Path

import pytest
import torch

from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.events import Saved, SaveFailed
from iddm_cli.checkpoints.retention import Retention
from iddm_cli.checkpoints.snapshots import SnapshotFolder
from iddm_cli.data.loader.augment import Augmentation
from iddm_cli.data.loader.augmentation_parameters import count_conditions
from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.data.loader.conditioned_augmentation import ConditionedAugmentation
from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.objectives.consistency_tuning import ConsistencyObjective, GuidedTeacher
from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.distributed.group import SINGLE_PROCESS
from iddm_cli.engine import randomness
from iddm_cli.engine.events import Logged, Request, SamplesGenerated, Stepped, Stopped
from iddm_cli.engine.train_step import TrainStep
from iddm_cli.engine.trainer import Trainer
from iddm_cli.errors import CheckpointError
from iddm_cli.networks import UNet
from iddm_cli.profiles.settings import DataSettings, TrainingSettings

PICTURES, CLASSES = 20, 3


def draw_uniforms(purpose, step, slots, count):
    return randomness.uniforms(0, purpose, items=slots, step=step, count=count)


def make(
    folder: Path,
    *,
    dropout=0.0,
    precision="fp32",
    times="stratified",
    draw=None,
    group=SINGLE_PROCESS,
    watch=None,
    compiling="none",
    distilled=False,
    augment=None,
    **changes,
):
    settings = {
        "steps": 4, "epochs": None, "batch_size": 8, "lr": 1e-2, "log_every": 1,
        "checkpoint_every": 2, "sample_every": 2, "keep": 9,
        **changes,
    }  # fmt: skip
    randomness.seed_library(0, "weights", step=0)
    network = UNet(
        channels=1,
        num_classes=CLASSES,
        base_channels=8,
        channel_multipliers=[1, 2],
        blocks_per_level=1,
        attention_levels=[1],
        head_channels=8,
        norm_groups=4,
        dropout=dropout,
        augmentation=count_conditions(1) if augment else 0,
    ).to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (PICTURES, 1, 8, 8), generator=generator, dtype=torch.uint8)
    batches = BatchLoader(
        MemoryStore(pixels),
        torch.arange(PICTURES) % CLASSES,
        batch_size=changes.get("batch_size", 8),
        order=lambda epoch: randomness.permutation(0, "order", step=epoch, count=PICTURES),
        augment=Augmentation(
            DataSettings(horizontal_flip=True),
            lambda purpose, step, slots: randomness.uniform(0, purpose, items=slots, step=step),
        ),
    )
    denoiser = Denoiser(network, cosine_schedule(1000), prediction="v")
    teacher = GuidedTeacher(copy.deepcopy(denoiser).requires_grad_(False), 2.0, no_label=CLASSES)
    train_step = TrainStep(
        denoiser,
        batches,
        TrainingSettings(**settings),
        times=times,
        precision=precision,
        num_classes=CLASSES,
        numerics={"threads": 1},
        group=group,
        compiling=compiling,
        objective=ConsistencyObjective(teacher, stage_steps=2) if distilled else None,
        augment=ConditionedAugmentation(augment, draw_uniforms) if augment else None,
    )
    retention = Retention(settings["keep"], best=train_step.settings.best_metric)
    return Trainer(
        train_step,
        checkpoints=CheckpointFolder(folder, retention),
        generate_samples=draw,
        **(watch or {}),
    )


def stop_at(trainer: Trainer, step: int) -> Request:
    """Request an end, as SIGTERM does, at one step."""
    return Request.TERMINATE if trainer.step == step else Request.NONE


def saved_at_once(trainer: Trainer) -> None:
    """Let the trainer hear of a checkpoint right after the step that began it."""
    trainer.writer.poll = trainer.writer.wait


def bits(trainer: Trainer) -> dict[str, bytes]:
    """Return every tensor that a checkpoint holds, as bytes."""
    return {
        f"{part}/{name}": tensor.contiguous().numpy().tobytes()
        for part, tensors in trainer.state.tensors().items()
        for name, tensor in tensors.items()
    }


def run(trainer: Trainer) -> list:
    return list(trainer.fit())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adam", "weight_decay": 0.1},
        {"optimizer": "muon", "weight_decay": 0.1},
        {"optimizer": "muon", "precision": "fp16"},
        {"dropout": 0.3},
        {"distilled": True},
        {"augment": 0.3, "optimizer": "muon"},
        {"micro_batch": 3},
        {"precision": "bf16"},
        {"precision": "fp16"},
        {"gradient_clip": 0.0},
        {"lr_schedule": "constant", "warmup_steps": 2},
        {"lr_schedule": "cosine", "extensions": [[1, "rewarm"], [3, "keep"]]},
    ],
    ids=str,
)
def test_two_steps_and_two_more_are_four(tmp_path, changes):
    straight = make(tmp_path / "a", **changes)
    run(straight)
    first = make(tmp_path / "b", **changes)
    for event in first.fit():
        if isinstance(event, Saved) and event.step == 2:
            break
    second = make(tmp_path / "b", **changes)
    second.load(second.checkpoints.at(2))
    run(second)
    assert second.step == 4
    assert bits(second) == bits(straight)


def test_the_scale_of_fp16_gradients_is_carried_on(tmp_path):
    first = make(tmp_path, precision="fp16")
    first.train_step.update(0)
    first.state.scaler.update(new_scale=1024.0)
    first.save()
    first.writer.wait()
    second = make(tmp_path, precision="fp16")
    second.load(second.checkpoints.latest_valid()[0])
    assert second.state.scaler.get_scale() == 1024.0


def test_another_seed_is_another_run(tmp_path):
    one, other = make(tmp_path / "a"), make(tmp_path / "b", seed=1)
    run(one), run(other)
    assert bits(one) != bits(other)


@pytest.mark.parametrize(
    ("micro", "distilled"), [(1, False), (2, False), (3, False), (8, False), (3, True)]
)
def test_accumulating_changes_only_rounding(tmp_path, micro, distilled):
    whole = make(tmp_path / "a", distilled=distilled)
    parts = make(tmp_path / "b", distilled=distilled, micro_batch=micro)
    for step in range(3):
        loss, norm, _ = whole.train_step.update(step)
        loss_parts, norm_parts, _ = parts.train_step.update(step)
        assert float(loss_parts) == pytest.approx(float(loss), rel=1e-5)
        assert float(norm_parts) == pytest.approx(float(norm), rel=1e-4)


def test_a_slot_has_the_same_time_noise_and_loss_in_any_company(tmp_path):
    trainer = make(tmp_path, label_drop=0.5)
    together = trainer.train_step.losses(7, torch.arange(8))
    alone = torch.cat([trainer.train_step.losses(7, torch.tensor([slot])) for slot in range(8)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(together, trainer.train_step.losses(8, torch.arange(8)))


def test_labels_are_dropped_for_each_picture_by_itself(tmp_path):
    seen = []
    trainer = make(tmp_path, label_drop=0.25, batch_size=256)
    trainer.train_step.ddp_denoiser.loss = lambda x, t, noise, label: (
        seen.append(label) or torch.zeros(len(x))
    )
    for step in range(8):
        trainer.train_step.losses(step, torch.arange(256))
    dropped = torch.stack(seen) == CLASSES
    assert dropped.float().mean() == pytest.approx(0.25, abs=0.04)
    assert all(0 < row.float().mean() < 0.5 for row in dropped), "no step drops all or none"


def test_stratified_times_put_one_into_each_part(tmp_path):
    trainer = make(tmp_path, batch_size=10)
    t = trainer.train_step.sample_times(3, torch.arange(10))
    assert (t // 100).tolist() == list(range(10))
    free = make(tmp_path, batch_size=1000, times="uniform").train_step.sample_times(
        3, torch.arange(1000)
    )
    assert free.min() >= 0
    assert free.max() <= 999
    assert free.float().mean() == pytest.approx(499.5, abs=40)
    assert len(free.unique()) > 500, "not one in each part"


def test_events_come_logged_then_saved_then_sampled(tmp_path):
    trainer = make(tmp_path, draw=lambda average, step: tmp_path / f"{step}.png")
    trainer.writer.poll = trainer.writer.wait  # as if it had ended by then
    events = [(type(event), event.step) for event in trainer.fit()]
    assert events == [
        (Stepped, 1), (Logged, 1),
        (Stepped, 2), (Logged, 2), (SamplesGenerated, 2),
        (Stepped, 3), (Saved, 2), (Logged, 3),
        (Stepped, 4), (Logged, 4), (Saved, 4), (SamplesGenerated, 4),
    ]  # fmt: skip


def test_checkpoints_begin_where_asked_and_the_last_step_has_one(tmp_path):
    trainer = make(tmp_path, steps=5, checkpoint_every=1, checkpoint_from=3)
    assert [event.step for event in trainer.fit() if isinstance(event, Saved)] == [3, 4, 5]


def test_a_stop_ends_after_the_step_with_a_checkpoint(tmp_path):
    trainer = make(tmp_path, steps=9, checkpoint_every=100)
    events = list(trainer.fit(lambda: stop_at(trainer, 3)))
    assert [type(event) for event in events[-2:]] == [Saved, Stopped]
    assert trainer.checkpoints.latest_valid()[0].step == 3


def test_the_loss_falls(tmp_path):
    trainer = make(tmp_path, steps=60, lr=3e-3, checkpoint_every=1000, sample_every=0)
    trainer.train_step.batches.store.pixels[:] = (
        60 * trainer.train_step.batches.labels[:, None, None, None] + 60
    )
    losses = [event.loss for event in trainer.fit() if isinstance(event, Logged)]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_epochs_become_steps(tmp_path):
    trainer = make(tmp_path, steps=None, epochs=2)
    last = [event for event in trainer.fit() if isinstance(event, Logged)][-1]
    assert (last.step, last.epoch) == (5, 2.0)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    trainer = make(tmp_path)
    run(trainer)
    other = make(tmp_path)
    other.train_step.denoiser.backbone.conv_out = torch.nn.Conv2d(8, 2, 3, padding=1)
    with pytest.raises(CheckpointError, match="wrong shape: conv_out"):
        other.load(other.checkpoints.at(4))


def test_the_average_trails_behind_the_weights(tmp_path):
    trainer = make(tmp_path, ema_decay=0.5)
    before = [p.clone() for p in trainer.state.ema.module.parameters()]
    trainer.train_step.update(0)
    # (1 + 1) / (10 + 1) of the old is kept after the first update.
    for old, mean, new in zip(
        before,
        trainer.state.ema.module.parameters(),
        trainer.train_step.denoiser.parameters(),
        strict=True,
    ):
        torch.testing.assert_close(mean, old * 2 / 11 + new * 9 / 11)


def test_a_resumed_training_has_the_snapshots_of_an_undisturbed_one(tmp_path):
    def train(name: str, *, until: int, start: int = 0) -> dict[str, bytes]:
        snapshots = SnapshotFolder(tmp_path / name / "snapshots", 1, 1)
        trainer = make(
            tmp_path / name / "checkpoints", watch={"snapshots": snapshots}, steps=7, keep=2
        )
        if start:
            trainer.load(trainer.checkpoints.at(start))
        list(trainer.fit(lambda: stop_at(trainer, until)))
        return {path.name: path.read_bytes() for path in sorted(snapshots.path.iterdir())}

    for name in "ab":
        (tmp_path / name).mkdir()
    straight = train("a", until=99)
    assert [int(name[5:13]) for name in straight] == [4, 6, 7]
    before = train("b", until=5)
    assert max(before) > "step-00000004"
    (tmp_path / "b/snapshots/step-00001000.safetensors").write_text("of a course that is given up")
    assert train("b", until=99, start=4) == straight


def test_a_snapshot_that_cannot_be_written_does_not_end_training(tmp_path):
    (tmp_path / "snapshots").write_text("a file")
    watch = {"snapshots": SnapshotFolder(tmp_path / "snapshots", 3, 1)}
    events = run(make(tmp_path / "checkpoints", watch=watch))
    failed = [event for event in events if isinstance(event, SaveFailed)]
    assert [event.step for event in failed] == [3]
    assert "snapshot of step 3" in failed[0].problem
    assert [event.step for event in events if isinstance(event, Saved)] == [2, 4]


def test_a_rollback_drops_the_snapshots_after_its_checkpoint(tmp_path):
    watch = {"snapshots": SnapshotFolder(tmp_path / "snapshots", 1, 1)}
    trainer = make(tmp_path / "checkpoints", watch=watch)
    run(trainer)
    assert watch["snapshots"].steps() == [2, 3, 4]
    trainer.checkpoints.remove_after(2)
    trainer._roll_back(trainer.state.guard.read())
    assert trainer.step == 2
    assert watch["snapshots"].steps() == [2]
