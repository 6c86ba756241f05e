"""Listings: names that are safe to print, and files classified by name or first bytes."""

import pytest

from iddm_cli.data.sources.indexing.listing import NOT_AN_IMAGE, Listing, is_hidden, to_printable


@pytest.mark.parametrize(
    ("name", "printable"),
    [
        ("cat/1.png", "cat/1.png"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\x1b[2J", r"a\x1b[2J"),
        ("a\u202eb", r"a\u202eb"),
        ("a\u2028b", r"a\u2028b"),
        ("\udcff", r"\xff"),
    ],
)
def test_names_are_printable(name: str, printable: str) -> None:
    assert to_printable(name) == printable
    assert to_printable(name).isprintable()


def test_files_are_classified() -> None:
    listing = Listing()
    for path in ("a/1.PNG", "a/metadata.csv", "a/notes.md", "a/1.txt"):
        listing.add_file(path)
    listing.add_file("a/photo", has_signature=lambda: True)
    listing.add_file("a/README", has_signature=lambda: False)
    assert listing.paths == ["a/1.PNG", "a/photo"]
    assert listing.label_files == ["a/metadata.csv", "a/1.txt"]
    assert listing.skipped == [
        ("a/notes.md", NOT_AN_IMAGE),
        ("a/README", "not an image, by its first bytes"),
    ]


@pytest.mark.parametrize(
    ("name", "hidden"), [(".git", True), ("Thumbs.db", True), ("..x", False), ("a.png", False)]
)
def test_hidden_names(name: str, hidden: bool) -> None:
    assert is_hidden(name) is hidden
