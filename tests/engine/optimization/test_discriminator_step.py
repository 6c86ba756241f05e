"""Training against a discriminator: exact resume, one step for both, and gradients kept apart."""

import json
import math
from pathlib import Path

import pytest
import torch

from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.state_file import sign_state
from iddm_cli.data.loader.augment import Augmentation
from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.diffusion.objectives.adversarial import AdversarialObjective
from iddm_cli.diffusion.objectives.reconstruction import Reconstructor
from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.distributed.group import SINGLE_PROCESS
from iddm_cli.engine import randomness
from iddm_cli.engine.events import Logged
from iddm_cli.engine.optimization.discriminator_step import BETAS, build_discriminator_optimizer
from iddm_cli.engine.train_step import TrainStep
from iddm_cli.engine.trainer import Trainer
from iddm_cli.errors import CheckpointError
from iddm_cli.networks.autoencoding.discriminator import PatchDiscriminator
from iddm_cli.profiles.settings import DataSettings, TrainingSettings
from tests.engine.test_trainer import bits
from tests.networks.autoencoding.small import build_small

IMAGES, START, LR = 12, 2, 1e-3


def make(
    folder: Path, *, start=START, weight=0.5, group=SINGLE_PROCESS, precision="fp32", **changes
) -> Trainer:
    """Return a trainer of a small autoencoder; with weight 0 it has no discriminator."""
    settings = {
        "steps": 6, "epochs": None, "batch_size": 4, "lr": 1e-2, "log_every": 1,
        "checkpoint_every": 99, "sample_every": 0, "keep": 9, "lr_schedule": "constant", **changes,
    }  # fmt: skip
    pixels = torch.randint(
        0, 256, (IMAGES, 1, 16, 16), generator=torch.Generator().manual_seed(5), dtype=torch.uint8
    )
    batches = BatchLoader(
        MemoryStore(pixels),
        torch.zeros(IMAGES, dtype=torch.int64),
        batch_size=settings["batch_size"],
        order=lambda epoch: randomness.permutation(0, "order", step=epoch, count=IMAGES),
        augment=Augmentation(DataSettings(), lambda *_: torch.zeros(0)),
    )
    objective = None
    denoiser = Reconstructor(build_small(), cosine_schedule(10), prediction="epsilon")
    if weight:
        discriminator = PatchDiscriminator(1, base_channels=4, layers=1)
        objective = AdversarialObjective(discriminator, weight=weight, start=start)
    train_step = TrainStep(
        denoiser,
        batches,
        TrainingSettings(**settings),
        times="uniform",
        precision=precision,
        num_classes=0,
        numerics={},
        group=group,
        objective=objective,
        discriminator_lr=LR,
    )
    return Trainer(train_step, checkpoints=CheckpointFolder(folder))


def train(trainer: Trainer) -> list[Logged]:
    return [event for event in trainer.fit() if isinstance(event, Logged)]


def join(network) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_from_every_checkpoint_the_rest_follows_bit_for_bit(tmp_path, optimizer):
    straight = make(tmp_path / "straight", optimizer=optimizer, checkpoint_every=1)
    train(straight)
    assert any(name.startswith("optimizer/discriminator.") for name in bits(straight))
    for step in (1, START, 4):  # before the loss begins, as it begins, and later
        again = make(tmp_path / f"from-{step}", optimizer=optimizer)
        again.load(straight.checkpoints.at(step))
        train(again)
        assert bits(again) == bits(straight)


def test_up_to_its_start_an_update_has_the_bits_of_one_without(tmp_path):
    plain, judged = make(tmp_path / "plain", weight=0), make(tmp_path / "judged")
    for step in range(START + 1):
        same = [
            torch.equal(tensor, judged.state.tensors()[part][name])
            for part in ("model", "average", "optimizer")
            for name, tensor in plain.state.tensors()[part].items()
        ]
        assert all(same), step
        for trainer in (plain, judged):
            trainer.train_step.update(step)
    assert not torch.equal(*(join(each.train_step.denoiser) for each in (plain, judged)))
    assert "discriminator" not in plain.state.tensors()


def test_metrics_have_the_losses_from_its_start_on(tmp_path):
    logged = train(make(tmp_path))
    names = {"adversarial_loss", "discriminator_loss", "adaptive_weight"}
    assert [names <= event.more.keys() for event in logged] == [False] * START + [True] * 4
    assert all(event.more["adaptive_weight"] > 0 for event in logged[START:])
    assert all(0.5 < event.more["discriminator_loss"] < 1.5 for event in logged[START:]), (
        "each its own"
    )
    assert not any(names & event.more.keys() for event in train(make(tmp_path / "x", weight=0)))


def test_micro_batches_change_no_more_than_rounding(tmp_path):
    whole = make(tmp_path / "whole", start=0)
    parts = make(tmp_path / "parts", start=0, micro_batch=3)
    first, second = train(whole), train(parts)
    for a, b in zip(first, second, strict=True):
        assert b.loss == pytest.approx(a.loss, rel=1e-4)
        for name in ("discriminator_loss", "adaptive_weight", "adversarial_loss"):
            assert b.more[name] == pytest.approx(a.more[name], rel=1e-2, abs=1e-4)


def test_gradients_of_one_network_do_not_clip_those_of_the_other(tmp_path):
    """Scores of 1000 make the discriminator's gradients huge; the autoencoder's step stays."""

    def updates(factor: float):
        trainer = make(tmp_path, start=0, weight=1e-9, gradient_clip=1e-3)
        judge = trainer.train_step.discriminator_step.discriminator
        judge.layers[0].weight.data *= factor
        trainer.train_step.update(0)
        return join(trainer.train_step.denoiser)

    torch.testing.assert_close(updates(1.0), updates(1e4), rtol=1e-5, atol=1e-7)


def test_an_update_that_only_the_discriminator_cannot_make_changes_neither(tmp_path):
    trainer = make(tmp_path, start=0)
    network, step = trainer.train_step.denoiser, trainer.train_step
    judge = step.discriminator_step.discriminator
    judge.layers[0].weight.register_hook(lambda gradient: gradient * math.inf)
    before = join(network), join(judge)
    assert math.isnan(step.update(0).loss)
    assert torch.equal(before[0], join(network))
    assert torch.equal(before[1], join(judge))


def test_its_first_update_is_that_of_an_optimizer_without_state():
    networks = [PatchDiscriminator(1, base_channels=4, layers=1) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    ours = build_discriminator_optimizer(networks[0])
    theirs = torch.optim.Adam(networks[1].parameters(), lr=LR, betas=BETAS, fused=True)
    ours.param_groups[0]["lr"] = LR
    for network, optimizer in zip(networks, (ours, theirs), strict=True):
        network(torch.ones(2, 1, 16, 16)).sum().backward()
        optimizer.step()
    assert torch.equal(*map(join, networks))


def test_its_learning_rate_is_its_own_and_follows_the_schedule(tmp_path):
    trainer = make(tmp_path, start=0, lr_schedule="linear", lr_final=0.0)
    rates = []
    for step in range(3):
        trainer.train_step.update(step)
        rates.append([group["lr"] for group in trainer.state.optimizer.param_groups])
    assert all(own == pytest.approx(LR / 1e-2 * lr) for lr, own in rates)
    assert rates[0][1] > rates[2][1]


def test_a_checkpoint_without_the_discriminator_is_refused(tmp_path):
    plain = make(tmp_path / "plain", weight=0)
    train(plain)
    with pytest.raises(CheckpointError, match="missing: discriminator"):
        make(tmp_path / "judged").load(plain.checkpoints.at(6))
    judged = make(tmp_path / "other")
    train(judged)
    path = judged.checkpoints.at(6).path / "state.json"
    document = json.loads(path.read_text())
    del document["files"]["discriminator.safetensors"]
    path.write_text(json.dumps(sign_state(document)))
    before = bits(judged)
    with pytest.raises(CheckpointError, match="has no discriminator"):
        judged.load(judged.checkpoints.at(6))
    assert bits(judged) == before


def test_a_damaged_discriminator_is_found_before_it_is_used(tmp_path):
    trainer = make(tmp_path, checkpoint_every=5)
    train(trainer)
    path = trainer.checkpoints.at(6).path / "discriminator.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    found, errors = trainer.checkpoints.latest_valid()
    assert found.step == 5
    assert "discriminator.safetensors is damaged" in errors[0].problem
    path.unlink()
    with pytest.raises(CheckpointError, match="discriminator"):
        trainer.checkpoints.at(6)
