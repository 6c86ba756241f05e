"""Labels of a shard as numbers."""

from iddm_cli.data.sources.shards.shard_records import NO_CLASS, ShardLabels


def test_labels_are_numbered_as_they_come() -> None:
    labels = ShardLabels.encode(["dog", "", "cat", "dog"])
    assert labels.names == ("dog", "cat")
    assert labels.numbers.tolist() == [0, NO_CLASS, 1, 0]
