"""Rows of a table: cells become class names that are safe to print."""

import pytest

from iddm_cli.data.sources.indexing.labels.tables.table_rows import LabelTable, to_class_name


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("cat", "cat"),
        (" cat\t", "cat"),
        (7, "7"),
        (0, "0"),
        (-1, "-1"),
        (0.5, "0.5"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        ("", ""),
        ("  ", ""),
        (float("nan"), ""),
        ([1, 2], ""),
        ({"a": "cat"}, ""),
        ("a\x1b[31m\n", r"a\x1b[31m"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
        ("\ud800", r"\x00"),
        ("a\u202egnp", r"a\u202egnp"),
        ("cafe\u0301", "caf\u00e9"),
        ("../../etc", "../../etc"),
    ],
)
def test_names_of_classes(value: object, name: str) -> None:
    assert to_class_name(value) == name
    assert name.isprintable()


def test_a_list_of_one_class_is_that_class() -> None:
    assert to_class_name(["cat"]) == "cat"
    assert to_class_name([["cat"]]) == ""


def test_rows_can_be_read_again_and_with_a_header_of_numbers() -> None:
    table = LabelTable(b"a.png;cat\nb.png;dog\n", "labels.csv")
    table.has_header = False
    assert list(table.rows()) == list(table.rows())
    assert list(table.rows())[1] == {"1": "b.png", "2": "dog"}
