"""Readers: one for each format that is detected."""

from typing import get_args

import pytest

from iddm_cli.importing import readers
from iddm_cli.importing.files import SourceFormat
from iddm_cli.importing.options import ImportOptions


def test_every_format_has_a_reader():
    assert sorted(readers.READERS) == sorted(get_args(SourceFormat))


@pytest.mark.parametrize(
    ("content", "form"), [(b"PK\3\4", "pytorch"), (bytes(8) + b"{", "safetensors")]
)
def test_a_file_is_read_by_its_content_and_not_by_its_name(tmp_path, monkeypatch, content, form):
    calls = []
    monkeypatch.setitem(readers.READERS, form, lambda *arguments: calls.append(arguments))
    path = tmp_path / "model.txt"
    path.write_bytes(content)
    readers.read_model(path, ImportOptions(), None)
    assert calls == [(path, ImportOptions(), None)]
