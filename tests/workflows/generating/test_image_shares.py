"""Shares of a generation: every batch in exactly one of them."""

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.generating.image_shares import Shard, make_batches, parse_shard


@pytest.mark.parametrize(("shards", "processes"), [(1, 1), (16, 2), (3, 4)])
def test_every_batch_is_in_one_share(shards, processes):
    batches = make_batches(list(range(203)), 8)
    assert [len(batch) for batch in batches] == [8] * 25 + [3]
    shares = [
        parse_shard(f"{k}/{shards}").divide(rank, processes).select(batches)
        for k in range(shards)
        for rank in range(processes)
    ]
    assert sorted(item for share in shares for batch in share for item in batch) == [*range(203)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["", "3", "3/", "/3", "-1/3", "3/3", "0/0", "a/b", "1/1000000"])
def test_other_shares_are_one_clear_error(text):
    with pytest.raises(UsageError, match="--shard"):
        parse_shard(text)


def test_a_task_of_an_array_job_has_its_share(monkeypatch):
    with pytest.raises(UsageError, match="not a task"):
        parse_shard("slurm")
    for name, value in (("ID", "7"), ("MIN", "1"), ("COUNT", "4"), ("STEP", "2")):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert parse_shard("slurm") == Shard(3, 4)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "9")  # of --array=1,3,5,9
    with pytest.raises(UsageError, match="even steps"):
        parse_shard("slurm")
