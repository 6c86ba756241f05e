"""Which files `data.path` means, and which of them are trained on."""

from pathlib import Path

import pytest

from iddm_cli.data.sources.shards.shard_paths import (
    expand_braces,
    find_shards,
    is_pattern,
    split_shards,
)
from iddm_cli.errors import DatasetError


def make_files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("{08..11}.tar", ["08.tar", "09.tar", "10.tar", "11.tar"]),
        ("{8..10}.tar", ["8.tar", "9.tar", "10.tar"]),
        ("{a,b}-{0..1}", ["a-0", "a-1", "b-0", "b-1"]),
    ],
)
def test_braces(pattern: str, names: list[str]) -> None:
    assert expand_braces(pattern) == names


@pytest.mark.parametrize("pattern", ["{5..1}.tar", "{0..99999999}.tar", "{0..9999}{0..9999}.tar"])
def test_a_range_that_is_none(pattern: str) -> None:
    with pytest.raises(DatasetError):
        expand_braces(pattern)


def test_a_folder_of_shards_in_the_order_of_their_names(tmp_path: Path) -> None:
    make_files(tmp_path, "b/1.tar", "b/0.tar", "a.tar", "README.md", "classes.txt", ".git/x.tar")
    found = find_shards(str(tmp_path), (".tar",))
    assert found is not None
    assert found.paths == ("a.tar", "b/0.tar", "b/1.tar")
    assert found.label_files == ("classes.txt",)
    assert find_shards(str(tmp_path), (".parquet",)) is None


def test_images_beside_shards_make_it_a_folder_of_images(tmp_path: Path) -> None:
    assert find_shards(str(make_files(tmp_path, "a.tar", "cat/1.png")), (".tar",)) is None


def test_patterns(tmp_path: Path) -> None:
    make_files(tmp_path, "t-0.tar", "t-1.tar", "sub/t-2.tar")
    pattern = str(tmp_path / "t-{0..1}.tar")
    assert is_pattern(pattern)
    for text in (pattern, str(tmp_path / "t-*.tar")):
        found = find_shards(text, (".tar",))
        assert found is not None
        assert (found.base, found.paths) == (tmp_path, ("t-0.tar", "t-1.tar"))
    both = find_shards(str(tmp_path / "{t-1,sub/t-2}.tar"), (".tar",))
    assert both is not None and both.paths == ("t-1.tar", "sub/t-2.tar")
    with pytest.raises(DatasetError, match=r"t-2.tar does not exist \(1 of 3"):
        find_shards(str(tmp_path / "t-{0..2}.tar"), (".tar",))
    with pytest.raises(DatasetError, match="no file has such a name"):
        find_shards(str(tmp_path / "x*.tar"), (".tar",))


def test_a_name_with_braces_that_exists_is_no_pattern(tmp_path: Path) -> None:
    make_files(tmp_path, "{a,b}/1.tar")
    found = find_shards(str(tmp_path / "{a,b}"), (".tar",))
    assert found is not None and found.paths == ("1.tar",)


@pytest.mark.parametrize(
    ("paths", "training", "held_out", "part"),
    [
        (["0.tar", "1.tar"], ["0.tar", "1.tar"], [], ""),
        (["test-0.tar"], ["test-0.tar"], [], ""),
        (
            ["data/test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"],
            ["data/train-00000-of-00001.parquet"],
            ["data/test-00000-of-00001.parquet"],
            "test",
        ),
        (
            ["d/test/0000.parquet", "d/train/0000.parquet", "d/validation/0000.parquet"],
            ["d/train/0000.parquet"],
            ["d/validation/0000.parquet"],
            "validation",
        ),
        (
            ["imagenet-train-001.tar", "imagenet-val-000.tar"],
            ["imagenet-train-001.tar"],
            ["imagenet-val-000.tar"],
            "imagenet-val",
        ),
    ],
)
def test_parts_of_a_split(
    paths: list[str], training: list[str], held_out: list[str], part: str
) -> None:
    split = split_shards(paths)
    assert (list(split.training), list(split.held_out)) == (training, held_out)
    assert split.part == part
