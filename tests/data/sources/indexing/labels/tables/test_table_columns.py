"""Columns: the one that names the images, and those that hold their class."""

import pytest

from iddm_cli.data.sources.indexing.labels.file_matching import FileMatcher
from iddm_cli.data.sources.indexing.labels.tables.table_columns import (
    ColumnChoice,
    choose_columns,
    detect_header,
    normalize_column,
)
from iddm_cli.data.sources.indexing.labels.tables.table_rows import LabelTable

IMAGES = [f"ISIC_{i}.jpg" for i in range(6)]


def choose(text: str, column: str = "label", *, strict: bool = True) -> ColumnChoice:
    table = LabelTable(text.encode(), "t.csv")
    matcher = FileMatcher(IMAGES, IMAGES, "")
    detect_header(table, matcher)
    return choose_columns(table, matcher, column, strict=strict)


def rows(*cells: str) -> str:
    return "".join(f"{line}\n" for line in cells)


@pytest.mark.parametrize(
    ("header", "row", "file", "label"),
    [
        ("file_name,label", "ISIC_{},x", "file_name", "label"),
        ("Image,Id", "ISIC_{}.jpg,w_1", "Image", "Id"),
        ("id,breed", "ISIC_{},boxer", "id", "breed"),
        ("lesion_id,image_id,dx,age", "HAM_{},ISIC_{},nv,4", "image_id", "dx"),
        ("id_code,diagnosis", "ISIC_{},2", "id_code", "diagnosis"),
        (
            "class id,filepaths,labels,data set",
            "0,a/ISIC_{}.jpg,FINCH,train",
            "filepaths",
            "labels",
        ),
        (",imagePath,Category", "0,ISIC_{}.jpg,x", "imagePath", "Category"),
        ("id,photo,label", "n{},ISIC_{}.jpg,x", "photo", "label"),
        ("Foto,Art", "ISIC_{}.jpg,x", "Foto", "Art"),
        ("index,file,Art", "0,ISIC_{}.jpg,x", "file", "Art"),
    ],
)
def test_columns_by_their_usual_names_or_their_cells(
    header: str, row: str, file: str, label: str
) -> None:
    choice = choose(rows(header, *(row.replace("{}", str(i)) for i in range(6))))
    assert (choice.file, choice.labels, choice.reason) == (file, (label,), "")


def test_a_first_line_that_names_an_image_is_not_a_header() -> None:
    choice = choose(rows(*(f"ISIC_{i}.jpg,{i % 2}" for i in range(6))))
    assert (choice.file, choice.labels) == ("1", ("2",))


def test_one_column_for_each_class() -> None:
    lines = [f"ISIC_{i},{int(i < 3)}.0,{int(i >= 3)}.0,0.0" for i in range(6)]
    assert choose(rows("image,MEL,NV,UNK", *lines)).labels == ("MEL", "NV")
    several = choose(rows("image,MEL,NV", "ISIC_0,1,1", "ISIC_1,0,1"))
    assert "several classes (columns MEL, NV in one row)" in several.reason
    assert choose(rows("image,MEL,NV", "ISIC_0,1,1", "ISIC_1,0,1"), "NV").labels == ("NV",)


@pytest.mark.parametrize("cells", [("a|b", "a", "b"), ("a;b", "b;c", "c"), ("x, y", "x", "z")])
def test_several_classes_in_a_cell_are_refused_unless_configured(cells: tuple[str, ...]) -> None:
    text = rows("file,tags", *(f'ISIC_{i},"{cell}"' for i, cell in enumerate(cells)))
    assert "gives an image several classes, such as " in choose(text).reason
    assert choose(text, "tags").labels == ("tags",)
    assert choose(text, strict=False).labels == ("tags",)


def test_names_with_a_comma_are_not_several_classes() -> None:
    text = rows("file,class", 'ISIC_0,"Cat, domestic"', 'ISIC_1,"Dog, wild"')
    assert choose(text).labels == ("class",)


@pytest.mark.parametrize(
    ("header", "cells", "reason"),
    [
        ("file_name,text", ["a cat", "a dog", "a cow", "a hen"], "it has no column label"),
        ("file,age,sex", ["1,f", "2,m", "3,f", "4,m"], "can name another: age, sex"),
        ("a,b", ["x", "y"], "it has no column label"),
    ],
)
def test_a_table_without_labels_says_what_it_has(
    header: str, cells: list[str], reason: str
) -> None:
    choice = choose(rows(header, *(f"ISIC_{i},{cell}" for i, cell in enumerate(cells))))
    assert reason in choice.reason or choice.labels == ("b",)


def test_names_are_preferred_to_their_numbers() -> None:
    lines = [f"ISIC_{i},{i % 2},{'cat' if i % 2 else 'dog'}" for i in range(6)]
    assert choose(rows("file,class,class_name", *lines)).labels == ("class_name",)
    assert choose(rows("file,label,class_name", *lines)).labels == ("label",)


@pytest.mark.parametrize(
    ("name", "normal"),
    [("imageId", "image_id"), (" File Name", "file_name"), ("IMAGE-ID", "image_id"), ("Id", "id")],
)
def test_names_of_columns_are_compared_without_case_and_spaces(name: str, normal: str) -> None:
    assert normalize_column(name) == normal
