"""Cells mean images, however their paths were written; what is ambiguous means none."""

import pytest

from iddm_cli.data.sources.indexing.labels.file_matching import FileMatcher, split_suffix

PATHS = (
    "img/a.png",
    "img/b 1.JPG",
    "img/sub/c.png",
    "img/caf\u00e9.png",
    "x/same.png",
    "y/same.png",
)


@pytest.mark.parametrize(
    ("cell", "path"),
    [
        ("img/a.png", "img/a.png"),
        ("./img/a.png", "img/a.png"),
        ("img\\a.png", "img/a.png"),
        ("C:\\Users\\me\\set\\img\\sub\\c.png", "img/sub/c.png"),
        ("/home/me/set/img/a.png", "img/a.png"),
        ("file:///data/a.png", "img/a.png"),
        ("a.png", "img/a.png"),
        ("a", "img/a.png"),
        ("A.PNG", "img/a.png"),
        ("a.jpg", "img/a.png"),
        ("b%201.JPG", "img/b 1.JPG"),
        ("img/cafe\u0301.png", "img/caf\u00e9.png"),
        (" a.png ", "img/a.png"),
        ("y/same.png", "y/same.png"),
        ("old/y/same.png", "y/same.png"),
        ("y\\same", "y/same.png"),
        ("same.png", None),
        ("z/same.png", None),
        ("d.png", None),
        ("", None),
        (None, None),
        (True, None),
        (["img/a.png"], None),
    ],
)
def test_a_cell_means_an_image(cell: object, path: str | None) -> None:
    found = FileMatcher(PATHS, PATHS, "").find(cell)
    assert (found and found.path) == path


def test_an_image_that_is_not_used_is_known() -> None:
    found = FileMatcher(["train/a.png"], ["train/a.png", "val/a.png"], "").find("val/a.png")
    assert found is not None
    assert found.path is None


@pytest.mark.parametrize(("cell", "path"), [(7, "007.png"), ("7", "007.png"), ("070", "070.png")])
def test_a_spreadsheet_strips_zeros(cell: object, path: str) -> None:
    found = FileMatcher(["007.png", "070.png"], [], "").find(cell)
    assert found is not None
    assert found.path == path


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.png", "a"), ("a.b.jpeg", "a.b"), ("1.5", "1.5"), (".x", ".x")],
)
def test_a_number_is_not_a_suffix(name: str, stem: str) -> None:
    assert split_suffix(name)[0] == stem
