"""Snapshots of the EMA: which are kept, whatever happened in between, and what a file holds."""

import pytest
import torch

from iddm_cli.checkpoints.snapshots import (
    FEWEST_A_RUN,
    SnapshotFolder,
    choose_interval,
    count_kept,
    encode_snapshot,
    is_kept,
)
from iddm_cli.engine.averaging.synthesis import StoredEMA, synthesize
from iddm_cli.errors import CheckpointError

WEIGHTS = {"a": torch.tensor([0.1, -2.0]), "count": torch.tensor([3])}


def take(folder: SnapshotFolder, first: int, last: int) -> None:
    """Take the snapshots of some steps, as training does."""
    for step in range(first, last + 1):
        if folder.is_due(step):
            folder.write(step, WEIGHTS, 0.9999)


@pytest.mark.parametrize(
    ("total", "interval"), [(1, 8), (512, 8), (1023, 8), (1024, 16), (100_000, 1024)]
)
def test_intervals_are_powers_of_two(total, interval):
    assert choose_interval(total) == interval
    assert total // interval < 2 * FEWEST_A_RUN


def test_what_is_deleted_is_never_wanted_again():
    for step in range(1, 200):
        kept = [is_kept(step, latest, 1) for latest in range(step, 600)]
        assert kept[0]
        assert kept == sorted(kept, reverse=True)


@pytest.mark.parametrize(("per_doubling", "most"), [(1, 8), (2, 16), (4, 32)])
def test_few_are_kept(per_doubling, most):
    counts = [count_kept(total, per_doubling) for total in (512, 1000, 1023, 77_777, 10**6)]
    assert max(counts) <= most
    assert min(counts) >= 4


@pytest.mark.parametrize("total", [512, 640, 1000, 1023, 5000])
def test_those_that_are_kept_express_the_usual_lengths(total):
    interval = choose_interval(total)
    latest = total // interval * interval
    steps = [s for s in range(interval, total + 1, interval) if is_kept(s, latest, 1)]
    stored = [StoredEMA(step, 0.9999) for step in dict.fromkeys([*steps, total])]
    for length in (0.03, 0.05, 0.1, 0.15):
        assert synthesize(length, stored).similarity > 0.97


def test_an_interrupted_training_keeps_those_of_an_undisturbed_one(tmp_path):
    straight, resumed = (SnapshotFolder(tmp_path / name, 8, 1) for name in "ab")
    take(straight, 1, 250)
    take(resumed, 1, 190)
    resumed.remove_after(140)
    assert resumed.steps() == [64, 128]
    take(resumed, 141, 250)
    assert resumed.steps() == straight.steps() == [128, 192, 224, 240, 248]


def test_a_file_holds_the_weights_in_16_bits(tmp_path):
    folder = SnapshotFolder(tmp_path / "snapshots")
    folder.write(7, WEIGHTS, 0.99)
    snapshot = folder.open(7)
    assert (snapshot.record.step, snapshot.record.ema_decay) == (7, 0.99)
    read = snapshot.read()
    assert read["a"].dtype == torch.float16
    assert torch.allclose(read["a"].float(), WEIGHTS["a"], rtol=2**-11)
    assert torch.equal(read["count"], WEIGHTS["count"])


def test_numbers_beyond_fp16_keep_all_bits(tmp_path):
    folder = SnapshotFolder(tmp_path / "snapshots")
    folder.write(1, {"a": torch.tensor([1e6, 0.1])}, 0.99)
    assert torch.equal(folder.open(1).read()["a"], torch.tensor([1e6, 0.1]))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other"])
def test_damage_is_found(tmp_path, damage):
    folder = SnapshotFolder(tmp_path / "snapshots")
    folder.write(8, WEIGHTS, 0.99)
    path = tmp_path / "snapshots" / "step-00000008.safetensors"
    content = path.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    other = encode_snapshot(9, WEIGHTS, 0.99)
    path.write_bytes({"flip": flipped, "cut": content[:-4], "empty": b"", "other": other}[damage])
    with pytest.raises(CheckpointError, match="step-00000008"):
        folder.open(8).read()


def test_a_missing_one_is_reported(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        SnapshotFolder(tmp_path).open(8)
