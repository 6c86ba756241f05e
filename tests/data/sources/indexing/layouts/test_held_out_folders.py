"""Which of the held-out folders of a split measures quality."""

import pytest

from iddm_cli.data.sources.indexing.index import build_index
from iddm_cli.data.sources.indexing.layouts.splits import find_use
from iddm_cli.data.sources.indexing.listing import Listing


def part_of(text: str) -> tuple[str, list[tuple[str, str]]] | None:
    """Return the name of the part of a dataset, and path and class of each of its images."""
    paths = sorted(f"{path}.png" for path in text.split())
    part = build_index(Listing(paths=paths), "set").index_part()
    if part is None:
        return None
    index = part.index
    classes = [index.classes[label] for label in index.labels] or [""] * len(index.paths)
    return part.name, list(zip(index.paths, classes, strict=True))


USES = {
    "validation": "val valid 02_validation val2017 dev eval dis_vd",
    "test": "test test_images test-dev imagesTs holdout 测试集",
    None: "train pred query unseen extra cat trainval",
}


@pytest.mark.parametrize(
    ("name", "use"), [(name, use) for use, names in USES.items() for name in names.split()]
)
def test_the_use_of_a_folder_by_its_name(name, use):
    assert find_use(name) == use


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("train/1 val/2 test/3", ("val", [("val/2.png", "")])),
        ("train/1 test/3", ("test", [("test/3.png", "")])),
        ("train/a/1 train/b/2 val/b/3", ("val", [("val/b/3.png", "b")])),
        (
            "cat/train/1 cat/val/2 cat/test/3 dog/train/4 dog/val/5 dog/test/6",
            ("val", [("cat/val/2.png", "cat"), ("dog/val/5.png", "dog")]),
        ),
        (
            "trainA/1 trainB/2 testA/3 testB/4",
            ("testA, testB", [("testA/3.png", "trainA"), ("testB/4.png", "trainB")]),
        ),
        ("train/images/a/1 train/images/b/2 val/images/a/3 val/images/b/4",
         ("val", [("val/images/a/3.png", "a"), ("val/images/b/4.png", "b")])),
        ("train/a/1 train/b/2 pred/3 query/4", None),
        ("train/1 trainval/2 test/3", ("test", [("test/3.png", "")])),
        ("seg_train/a/1 seg_train/b/2 seg_test/a/3 seg_pred/4",
         ("seg_test", [("seg_test/a/3.png", "a")])),
        ("cat/1 dog/2", None),
    ],
)  # fmt: skip
def test_the_part_and_the_classes_of_its_images(text, part):
    assert part_of(text) == part


def test_the_part_has_the_labels_of_a_table():
    table = b"file_name,label\n" + b"".join(
        b"%s/%d.png,%s\n" % (part, i, b"cat" if i % 2 else b"dog")
        for part in (b"train", b"val") for i in range(4)
    )  # fmt: skip
    paths = [f"{part}/{i}.png" for part in ("train", "val") for i in range(4)]
    listing = Listing(paths=paths, label_files=["metadata.csv"], read=lambda _: table)
    index = build_index(listing, "set")
    part = index.index_part().index
    assert index.classes == part.classes == ("cat", "dog")
    assert part.labels == index.labels == (1, 0, 1, 0)
    assert part.paths == ("val/0.png", "val/1.png", "val/2.png", "val/3.png")
