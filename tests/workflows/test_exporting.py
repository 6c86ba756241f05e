"""Export paths: nothing is replaced unasked, and nothing but an export is replaced."""

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.export.formats import EXPORT_FORMATS, ExportArtifact
from iddm_cli.workflows.exporting import ExportRequest, resolve_output, write_artifact


@pytest.mark.parametrize("row", EXPORT_FORMATS.values(), ids=EXPORT_FORMATS)
def test_an_export_is_replaced_only_with_overwrite(tmp_path, row):
    out = tmp_path / f"first{row.suffix}"
    assert resolve_output("first", ExportRequest(row, {}, out=out)) == out
    content = {row.folder_marker: b"{}"} if row.folder_marker else b"old"
    write_artifact(out, ExportArtifact(content))
    with pytest.raises(UsageError, match="already exists"):
        resolve_output("first", ExportRequest(row, {}, out=out))
    assert resolve_output("first", ExportRequest(row, {}, out=out, overwrite=True)) == out


def test_a_folder_that_is_not_an_export_is_kept(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("x")
    row = EXPORT_FORMATS["diffusers"]
    with pytest.raises(UsageError, match="is not an export"):
        resolve_output("first", ExportRequest(row, {}, out=tmp_path / "thesis", overwrite=True))


def test_a_safetensors_file_keeps_its_suffix(tmp_path):
    row = EXPORT_FORMATS["safetensors"]
    with pytest.raises(UsageError, match=r"must end in \.safetensors"):
        resolve_output("first", ExportRequest(row, {}, out=tmp_path / "first.bin"))
