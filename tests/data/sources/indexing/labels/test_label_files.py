"""Label files are recognised by their suffix."""

import pytest

from iddm_cli.data.sources.indexing.labels.label_files import is_label_file


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("metadata.csv", True),
        ("Labels.TSV", True),
        ("dataset.json", True),
        ("000.cls", True),
        ("1.png", False),
        ("csv", False),
        ("notes.md", False),
    ],
)
def test_a_label_file_is_recognised_by_its_suffix(name: str, expected: bool) -> None:
    assert is_label_file(name) == expected
