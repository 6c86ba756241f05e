"""Annotations of objects are recognised, reported, and give no classes."""

from pathlib import Path

import pytest

from .datasets import KINDS, build, images

COCO = '{"images": [{"id": 1}], "annotations": [], "categories": []}'
VOC = "<annotation><object><name>cat</name></object></annotation>"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"annotations.json": COCO}, "boxes in COCO format are not used: 1 files"),
        ({"1.xml": VOC, "2.xml": VOC}, "boxes in VOC format are not used: 2 files"),
        ({"1.txt": "0 0.5 0.5 0.2 0.2\n", "2.txt": ""}, "boxes in YOLO format are not used: 2"),
        ({"1.json": '{"shapes": [], "imagePath": "1.png"}'}, "outlines in LabelMe format"),
        ({"1.txt": "a cat\n", "2.txt": "a dog\n"}, "captions are not used: 2 files"),
    ],
)
def test_annotations_are_named(
    tmp_path: Path, kind: str, files: dict[str, bytes | str], said: str
) -> None:
    index = build(tmp_path, kind, images("1.png", "2.png") | files)
    assert (index.layout, len(index.paths)) == ("flat", 2)
    assert index.notes[0].startswith(said)
    assert {name for name, reason in index.skipped if "no class" in reason} == {*files}


def test_other_files_are_not_annotations(tmp_path: Path) -> None:
    files = images("1.png") | {"README.txt": "hello", "config.json": "{}", "a.xml": "<x/>"}
    assert build(tmp_path, "folder", files).notes == []
