"""Tar shards: images in stored order, and their classes."""

import gzip
import tarfile
from pathlib import Path

import pytest

from iddm_cli.data.sources.indexing.labels.labelling import LabelOptions
from iddm_cli.data.sources.shards.tar_shards import list_tar_shard, locate_tar_image
from iddm_cli.data.sources.source import SourceOptions
from iddm_cli.errors import DatasetError
from tests.data.sources.shards.specimens import make_png, sample, write_tar

OPTIONS = SourceOptions((8, 8))


def classes(records) -> list[str]:
    return [records.labels.names[n] if n >= 0 else "" for n in records.labels.numbers]


def test_images_in_the_order_of_the_tar(tmp_path: Path) -> None:
    files = [*sample(9), *sample(2, "json"), ("000005.png", make_png(5))]
    path = write_tar(tmp_path / "0.tar", files)
    records = list_tar_shard(path, OPTIONS)
    assert records.names == ["000009.png", "000002.png", "000005.png"]
    assert classes(records) == ["cat", "eel", ""]
    image = locate_tar_image(path, int(records.offsets[1]), int(records.lengths[1]))
    assert image.open().image.getpixel((0, 0)) == (2, 90, 200)


def test_only_the_first_image_of_a_sample_counts(tmp_path: Path) -> None:
    files = [("1.seg.png", make_png(7)), *sample(1), ("000001.seg.png", make_png(8))]
    records = list_tar_shard(write_tar(tmp_path / "0.tar", files), OPTIONS)
    assert records.names == ["1.seg.png", "000001.png"]
    assert ("000001.seg.png", "another image of the same sample") in records.skipped


def test_label_settings_apply(tmp_path: Path) -> None:
    files = [("cat_1.png", make_png(1)), ("dog_2.png", make_png(2))]
    options = SourceOptions((8, 8), LabelOptions(pattern="([a-z]+)_"))
    assert classes(list_tar_shard(write_tar(tmp_path / "0.tar", files), options)) == ["cat", "dog"]


def test_folders_in_the_tar(tmp_path: Path) -> None:
    files = [("a/cat/1.png", make_png(1)), ("a/dog/1.png", make_png(2)), ("3.png", make_png(3))]
    records = list_tar_shard(write_tar(tmp_path / "0.tar", files), OPTIONS)
    assert records.folders.names == ("cat", "dog")
    assert records.folders.numbers.tolist() == [0, 1, -1]


def test_damaged_and_compressed_tars_are_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "0.tar", sample(1))
    content = path.read_bytes()
    path.write_bytes(content[: tarfile.BLOCKSIZE + 20])
    with pytest.raises(DatasetError, match=r"0\.tar cannot be read as a tar"):
        list_tar_shard(path, OPTIONS)
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DatasetError, match="compressed tar"):
        list_tar_shard(path, OPTIONS)
