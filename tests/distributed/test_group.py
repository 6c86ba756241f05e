"""A group of any size: the same images, noise and times, and the same weights to rounding."""

import shutil
from pathlib import Path

import pytest
import torch

from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.events import Saved
from iddm_cli.checkpoints.retention import Retention
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup, local_tensor
from iddm_cli.distributed.launch import run_local
from iddm_cli.engine.events import Evaluated, Logged, Request, Stopped, StoppedEarly
from iddm_cli.profiles.evaluation_settings import EvaluationSettings
from tests.engine.monitoring.losses import make_loss
from tests.engine.optimization.test_discriminator_step import make as make_judged
from tests.engine.test_train_step import asked
from tests.engine.test_trainer import make

pytestmark = pytest.mark.usefixtures("forked_workers")

CPU = torch.device("cpu")
BATCH = 8
LONG = {"steps": 20, "checkpoint_every": 8, "sample_every": 0, "log_every": 1, "lr": 1e-3}


@pytest.mark.parametrize("batch_size", [4, 7, 8])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_slots_are_shared_out(size: int, batch_size: int) -> None:
    shares = [ProcessGroup(rank, size).slots(batch_size) for rank in range(size)]
    assert torch.equal(torch.cat(shares), torch.arange(batch_size))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("size", [2, 4])
def test_every_size_learns_from_the_same_bits(tmp_path: Path, size: int) -> None:
    trainer = make(tmp_path, label_drop=0.5)
    for step in (0, 3, 11):
        whole = asked(trainer, step, SINGLE_PROCESS.slots(BATCH))
        shares = [
            asked(trainer, step, ProcessGroup(rank, size).slots(BATCH)) for rank in range(size)
        ]
        for name, tensor in whole.items():
            assert torch.equal(torch.cat([share[name] for share in shares]), tensor), name


def everything(group: ProcessGroup, module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: group.full_tensor(tensor).clone() for name, tensor in module.state_dict().items()}


def train(group: ProcessGroup, device: torch.device, job: dict[str, object]) -> int:
    """Train and leave behind what came of it."""
    torch.set_num_threads(1)
    folder = Path(str(job["folder"]))
    changes = dict(job["changes"])
    asked_at, spoilt = changes.pop("asked_at", {}), changes.pop("spoilt", {})
    watch = None
    if job.get("watched"):
        loss_every = EvaluationSettings(loss_every=2, every=3, patience=2)
        watch = {
            "evaluation": loss_every,
            "held_out_loss": make_loss(group=group),
            "evaluate": lambda ema, step: {"mind": 1.0} if group.is_main else {},
        }
    trainer = make(folder / f"rank-{group.rank}", group=group, watch=watch, **changes)
    if job.get("watched") == "worse":
        losses = iter(range(1, 9))
        compute = trainer.evaluations.held_out_loss.compute
        trainer.evaluations.held_out_loss.compute = lambda *args, **named: {
            **compute(*args, **named), "held_out_loss": next(losses),
        }  # fmt: skip
    if job.get("from"):
        trainer.checkpoints = CheckpointFolder(folder / "rank-0", Retention(9))
        trainer.load(trainer.checkpoints.latest_valid()[0] if group.is_main else None)

    spoil(trainer, spoilt.get(group.rank))
    if job.get("overflows"):
        limit(trainer, job["overflows"].get(group.rank, BATCH))
        trainer.train_step.probe_memory(0)

    def should_stop() -> Request:
        stops = asked_at.get(group.rank) == trainer.step
        return Request.TERMINATE if stops else Request.NONE

    events = list(trainer.fit(should_stop))
    left = {
        "weights": everything(group, trainer.train_step.denoiser.backbone),
        "average": everything(group, trainer.state.ema.module.backbone),
        "kept": sum(
            local_tensor(p).numel() for p in trainer.train_step.denoiser.backbone.parameters()
        ),
        "losses": [event.loss for event in events if isinstance(event, Logged)],
        "norms": [event.grad_norm for event in events if isinstance(event, Logged)],
        "saved": [event.step for event in events if isinstance(event, Saved)],
        "evaluated": [(e.step, e.values) for e in events if isinstance(e, Evaluated)],
        "early": [e for e in events if isinstance(e, StoppedEarly)],
        "stopped": [event.step for event in events if isinstance(event, Stopped)],
        "step": trainer.step,
        "skipped": trainer.state.guard.read().total,
        "size": trainer.state.micro_batch.size,
    }
    torch.save(left, folder / f"left-{group.rank}.pt")
    return 0


def spoil(trainer, step: int | None) -> None:
    """Let the loss of one step be no number."""
    losses = trainer.train_step.losses

    def spoilt(now, slots, *denoiser):
        loss = losses(now, slots, *denoiser)
        return loss * torch.nan if now == step else loss

    trainer.train_step.losses = spoilt


def limit(trainer, most: int) -> None:
    """Let more images at once exceed the memory."""
    losses = trainer.train_step.losses

    def limited(step, slots, *denoiser):
        if len(slots) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return losses(step, slots, *denoiser)

    trainer.train_step.losses = limited


def trained(
    folder: Path, size: int, *, sharded: bool = False, watched: object = None, **changes: object
) -> list[dict]:
    folder.mkdir(exist_ok=True)
    job = {"folder": str(folder), "changes": LONG | changes, "watched": watched}
    assert run_local(train, job, [CPU] * size, 60, sharded=sharded) == 0
    return [torch.load(folder / f"left-{rank}.pt", weights_only=False) for rank in range(size)]


LESS_MEMORY = pytest.mark.parametrize("less", [{}, {"micro_batch": 1, "recompute": "blocks"}])
"""What the processes do to save memory; the one beside them does not."""


@LESS_MEMORY
def test_every_size_ends_in_the_same_weights_to_rounding(
    tmp_path: Path, less: dict[str, object]
) -> None:
    (one,) = trained(tmp_path / "1", 1)
    for size in (2, 4):
        members = trained(tmp_path / str(size), size, **less)
        for kind in ("weights", "average"):
            for name, tensor in one[kind].items():
                assert torch.allclose(members[0][kind][name], tensor, rtol=0, atol=1e-5), name
                assert all(torch.equal(m[kind][name], members[0][kind][name]) for m in members)
        losses = torch.tensor([one["losses"], members[0]["losses"]])
        assert torch.allclose(losses[0], losses[1], rtol=1e-5)
        norms = torch.tensor([one["norms"], members[0]["norms"]])
        assert torch.allclose(norms[0], norms[1], rtol=1e-4)
        assert members[0]["saved"] == [8, 16, 20]
        assert all(member["saved"] == [] for member in members[1:]), "only the leader writes"


def test_a_group_distils_as_one_process_does(tmp_path: Path) -> None:
    (one,) = trained(tmp_path / "1", 1, distilled=True)
    for name, changes in (("parts", {"micro_batch": 2}), ("shards", {"sharded": True})):
        members = trained(tmp_path / name, 2, distilled=True, **changes)
        assert members[0]["losses"] == pytest.approx(one["losses"], rel=1e-5)
        for key, tensor in one["weights"].items():
            # Adam divides a gradient by its size, so rounding of a small one is not small.
            assert torch.allclose(members[0]["weights"][key], tensor, rtol=0, atol=1e-4), key


def test_a_group_is_augmented_as_one_process_is(tmp_path: Path) -> None:
    few = {"augment": 0.3, "steps": 3}
    (one,) = trained(tmp_path / "1", 1, **few)
    members = trained(tmp_path / "2", 2, **few)
    assert members[0]["losses"] == pytest.approx(one["losses"], rel=1e-5)
    assert one["weights"]["embedding.augmentation.weight"].any()
    for key, tensor in one["weights"].items():
        # Adam divides a gradient by its size, so rounding of a small one is not small.
        assert torch.allclose(members[0]["weights"][key], tensor, rtol=0, atol=1e-4), key


def test_shares_may_differ_in_how_many_parts_they_have(tmp_path: Path) -> None:
    """Five images in parts of two: 2 and 1 for the one, 2 for the other."""
    (one,) = trained(tmp_path / "1", 1, batch_size=5, micro_batch=2)
    members = trained(tmp_path / "2", 2, batch_size=5, micro_batch=2)
    for name, tensor in one["weights"].items():
        assert torch.allclose(members[0]["weights"][name], tensor, rtol=0, atol=1e-5), name
    assert members[0]["losses"] == pytest.approx(one["losses"], rel=1e-5)


def test_a_stop_asked_of_any_member_ends_all_after_the_same_step(tmp_path: Path) -> None:
    members = trained(tmp_path, 2, asked_at={1: 7})
    assert [member["stopped"] for member in members] == [[7], [7]]
    assert members[0]["saved"] == [7]


def test_a_group_of_another_size_gets_what_the_main_process_loads(tmp_path: Path) -> None:
    """Of the same size, bit for bit; of another, to rounding."""
    whole = trained(tmp_path / "whole", 2)
    trained(tmp_path / "part", 2, asked_at={0: 12})
    for size in (1, 2, 4):
        folder = Path(shutil.copytree(tmp_path / "part", tmp_path / str(size)))
        job = {"folder": str(folder), "from": True, "changes": LONG}
        assert run_local(train, job, [CPU] * size, 60) == 0
        for rank in range(size):
            left = torch.load(folder / f"left-{rank}.pt")
            assert left["step"] == 20
            for name, tensor in whole[0]["weights"].items():
                if size == 2:
                    assert torch.equal(left["weights"][name], tensor)
                assert torch.allclose(left["weights"][name], tensor, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "shards"])
def test_what_is_not_finite_for_one_is_skipped_by_all(tmp_path: Path, sharded: bool) -> None:
    (one,) = trained(tmp_path / "1", 1, spoilt={0: 7})
    members = trained(tmp_path / "2", 2, spoilt={1: 7}, sharded=sharded)
    assert [one["skipped"], *(member["skipped"] for member in members)] == [1, 1, 1]
    for kind in ("weights", "average"):
        for name, tensor in one[kind].items():
            assert tensor.isfinite().all()
            assert torch.allclose(members[0][kind][name], tensor, rtol=0, atol=1e-5), name


def test_memory_that_one_lacks_halves_the_parts_of_all(tmp_path: Path) -> None:
    (one,) = trained(tmp_path / "1", 1)
    folder = tmp_path / "2"
    folder.mkdir()
    job = {"folder": str(folder), "changes": LONG, "overflows": {1: 2}}
    assert run_local(train, job, [CPU] * 2, 60) == 0
    members = [torch.load(folder / f"left-{rank}.pt") for rank in (0, 1)]
    assert [member["size"] for member in members] == [2, 2]
    assert members[0]["losses"] == pytest.approx(one["losses"], rel=1e-5)
    for name, tensor in one["weights"].items():
        assert torch.allclose(members[0]["weights"][name], tensor, rtol=0, atol=1e-5), name


@LESS_MEMORY
def test_shards_are_trained_like_the_whole(tmp_path: Path, less: dict[str, object]) -> None:
    (one,) = trained(tmp_path / "1", 1)
    members = trained(tmp_path / "2", 2, sharded=True, **less)
    for kind in ("weights", "average"):
        for name, tensor in one[kind].items():
            assert torch.allclose(members[0][kind][name], tensor, rtol=0, atol=1e-5), name
    assert members[0]["losses"] == pytest.approx(one["losses"], rel=1e-5)
    assert members[0]["norms"] == pytest.approx(one["norms"], rel=1e-4)
    assert max(member["kept"] for member in members) < 0.7 * one["kept"], "each keeps a part"


def test_muon_updates_whole_matrices_of_which_each_keeps_a_shard(tmp_path: Path) -> None:
    muon = {"optimizer": "muon", "muon_lr": 2e-3}
    (one,) = trained(tmp_path / "1", 1, **muon)
    for name, sharded in (("2", False), ("shards", True)):
        members = trained(tmp_path / name, 2, sharded=sharded, **muon)
        assert members[0]["losses"] == pytest.approx(one["losses"], rel=1e-4)
        for part, tensor in one["weights"].items():
            assert torch.allclose(members[0]["weights"][part], tensor, rtol=0, atol=1e-4), part


def test_shards_are_saved_whole_and_go_on_from_what_others_saved(tmp_path: Path) -> None:
    """One process, shards, one process: a checkpoint has the same form from all of them."""
    whole = trained(tmp_path / "whole", 1)
    trained(tmp_path / "part", 1, asked_at={0: 8})
    for stop, size in ((14, 2), (None, 1)):
        job = {
            "folder": str(tmp_path / "part"),
            "from": True,
            "changes": LONG | {"asked_at": {0: stop}},
        }
        assert run_local(train, job, [CPU] * size, 60, sharded=size > 1) == 0
    left = torch.load(tmp_path / "part" / "left-0.pt")
    assert left["step"] == 20
    for name, tensor in whole[0]["weights"].items():
        assert torch.allclose(left["weights"][name], tensor, rtol=0, atol=1e-5), name


def test_every_size_and_shards_have_the_same_held_out_loss_and_stop_early_together(tmp_path: Path):
    """Of five images one computes three at once, the other two: shards need equal batches."""
    changes = {"steps": 12, "batch_size": 5, "watched": "worse", "stop_when": "held_out_worse"}
    (one,) = trained(tmp_path / "1", 1, **changes)
    assert [step for step, _ in one["evaluated"]] == [2, 3, 4, 6]
    for name, sharded in (("2", False), ("shards", True)):
        members = trained(tmp_path / name, 2, sharded=sharded, **changes)
        assert members[0]["evaluated"] == members[1]["evaluated"], "to the bit"
        assert members[0]["early"] == members[1]["early"] == one["early"] != []
        for (step, values), (_, expected) in zip(
            members[0]["evaluated"], one["evaluated"], strict=True
        ):
            assert values == pytest.approx(expected, rel=1e-4), step
        for part, tensor in one["average"].items():
            assert torch.allclose(members[0]["average"][part], tensor, rtol=0, atol=1e-5), part


def judge(group: ProcessGroup, device: torch.device, job: dict[str, object]) -> int:
    """Compute the gradients of an autoencoder and of its discriminator, and leave them behind."""
    torch.set_num_threads(1)
    folder = Path(str(job["folder"]))
    step = make_judged(folder, group=group, start=0, micro_batch=job["micro_batch"]).train_step
    step._accumulate_gradients(0)
    networks = {"model": step.denoiser, "discriminator": step.discriminator_step.discriminator}
    left = {
        f"{network}.{name}": parameter.grad
        for network, module in networks.items()
        for name, parameter in module.named_parameters()
    }
    left |= {
        name: group.all_reduce_sum(share) for name, share in step.discriminator_step.read().items()
    }
    torch.save(left, folder / f"left-{group.rank}.pt")
    return 0


def test_the_gradients_of_a_discriminator_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    found = []
    for size, micro_batch in ((1, None), (1, 3), (2, 1)):
        folder = tmp_path / f"{size}-{micro_batch}"
        folder.mkdir()
        job = {"folder": str(folder), "micro_batch": micro_batch}
        if size == 1:
            judge(SINGLE_PROCESS, CPU, job)
        else:
            assert run_local(judge, job, [CPU] * size, 60) == 0
        found += [torch.load(folder / f"left-{rank}.pt") for rank in range(size)]
    whole, *others = found
    assert any(name.startswith("discriminator.") for name in whole)
    for other in others:
        torch.testing.assert_close(other, whole, rtol=1e-4, atol=1e-5)
