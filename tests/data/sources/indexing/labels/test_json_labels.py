"""dataset.json of EDM and StyleGAN, in folders and archives."""

import json
from pathlib import Path

import pytest

from iddm_cli.data.sources.indexing.labels.labelling import LabelOptions
from iddm_cli.errors import DatasetError
from tests.data.sources.indexing.folders import pairs

from .datasets import KINDS, build, images

SHARDS = images("00000/img0.png", "00000/img1.png", "00001/img2.png", "00001/img3.png")
LABELS = [[path, 10 - i] for i, path in enumerate(SHARDS)]


def dataset(labels: object, **more: object) -> dict[str, bytes | str]:
    return SHARDS | {"dataset.json": json.dumps({"labels": labels, **more})}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_replace_the_shard_folders(tmp_path: Path, kind: str) -> None:
    index = build(tmp_path, kind, dataset(LABELS))
    assert index.classes == ("7", "8", "9", "10")
    assert pairs(index)["00000/img0.png"] == "10"
    assert (index.notes, index.skipped) == (["classes from dataset.json"], [])


@pytest.mark.parametrize("kind", KINDS)
def test_null_means_no_classes(tmp_path: Path, kind: str) -> None:
    index = build(tmp_path, kind, dataset(None))
    assert (index.layout, index.classes, len(index.paths)) == ("flat", (), 4)
    assert index.notes == ["no classes: the labels in dataset.json are null"]


@pytest.mark.parametrize(
    "labels",
    [
        dict(LABELS),
        [[path, float(label)] for path, label in LABELS],
        [[path.replace("/", "\\"), label] for path, label in LABELS],
        [[path.split("/")[1], label] for path, label in LABELS],
        [[path, [0.0] * label + [1.0] + [0.0] * (11 - label)] for path, label in LABELS],
    ],
)
def test_ways_to_write_one_file(tmp_path: Path, labels: object) -> None:
    index = build(tmp_path, "folder", dataset(labels))
    assert list(pairs(index).values()) == ["10", "9", "8", "7"]


def test_one_shard_and_a_folder_around_all(tmp_path: Path) -> None:
    files = images("set/00000/0.png", "set/00000/1.png")
    files["set/dataset.json"] = json.dumps({"labels": [["00000/0.png", 1], ["00000/1.png", 0]]})
    for kind in KINDS:
        assert build(tmp_path, kind, files).classes == ("0", "1")


def test_gaps_are_reported_with_counts(tmp_path: Path) -> None:
    index = build(tmp_path, "folder", dataset([*LABELS[:3], ["gone.png", 1]]))
    assert len(index.paths) == 3
    assert "left out: 1 of 4; rows that name no image: 1" in index.notes[0]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([[path, [0.2, 0.8]] for path in SHARDS], "a vector of 2 numbers, not a class"),
        ([[path, [1.0, 1.0]] for path in SHARDS], "a vector of 2 numbers, not a class"),
        ([["00000/img0.png"]], "an entry that is not a file and its class"),
        ([["x.png", 1]], "assigns a class to none of the images"),
        ([*LABELS, ["00000/img0.png", 3]], "lists 00000/img0.png twice, as 10 and as 3"),
    ],
)
def test_what_is_not_a_class_is_an_error(tmp_path: Path, labels: object, said: str) -> None:
    with pytest.raises(DatasetError) as caught:
        build(tmp_path, "folder", dataset(labels))
    assert said in caught.value.problem
    assert caught.value.exit_code == 3
    if "vector" in said:
        options = LabelOptions(required=False)
        assert build(tmp_path, "folder", dataset(labels), options).classes == ()


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"dataset\.json cannot be read: it is not JSON"):
        build(tmp_path, "folder", SHARDS | {"dataset.json": "{"})


def test_another_dataset_json_says_nothing(tmp_path: Path) -> None:
    index = build(tmp_path, "folder", SHARDS | {"dataset.json": '{"title": "x"}'})
    assert index.layout == "classes"
    assert ("dataset.json", "not a file of labels: it has no key labels") in index.skipped


def test_labels_json_may_be_the_object_itself(tmp_path: Path) -> None:
    files = images("a.png", "b.png") | {"labels.json": '{"a.png": "cat", "b.png": "dog"}'}
    assert pairs(build(tmp_path, "folder", files)) == {"a.png": "cat", "b.png": "dog"}


def test_names_in_the_file(tmp_path: Path) -> None:
    labels = [[path, i % 2] for i, path in enumerate(SHARDS)]
    index = build(tmp_path, "zip", dataset(labels, class_names=["zebra", "ant"]))
    assert (index.classes, index.labels) == (("zebra", "ant"), (0, 1, 0, 1))
