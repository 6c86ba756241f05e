"""Which images a shard has: a function of the plan and the batch size alone."""

from pathlib import Path

import pytest

from iddm_cli.workflows.generating.output import shard_writing
from iddm_cli.workflows.generating.output.shard_writing import plan_shards


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(7, 2, [4, 3]), (8, 4, [4, 4]), (9, 3, [3, 3, 3]), (7, 9, [7]), (11, 6, [6, 5])],
)
def test_shards_have_whole_batches(
    monkeypatch: pytest.MonkeyPatch, count: int, batch_size: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(shard_writing, "SHARD_IMAGES", 4)
    shards = plan_shards(Path("x"), "tar", range(count), batch_size)  # type: ignore[arg-type]
    assert [shard.count for shard in shards] == sizes
    assert [shard.path.name for shard in shards] == [f"{n:05d}.tar" for n in range(len(sizes))]
    numbers = [n for shard in shards for batch in shard.batches for n in batch]
    assert numbers == list(range(count))
    assert [shard.first for shard in shards] == [shard.batches[0][0] for shard in shards]
