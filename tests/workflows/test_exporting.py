"""Export paths: nothing is replaced unasked, and nothing but an export is replaced."""

import errno
import os

import pytest

from iddm_cli import durable
from iddm_cli.errors import RunError, UsageError
from iddm_cli.export.formats import EXPORT_FORMATS, ExportArtifact
from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.export.trained_model import describe_weaker
from iddm_cli.workflows.exporting import (
    ExportRequest,
    check_output_folder,
    load_model,
    resolve_output,
    write_artifact,
)
from iddm_cli.workflows.models import find_model
from tests.export.conftest import trained
from tests.workflows.guiding_files import write_models

SAMPLING = {"--sampler sampling.sampler": None}


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


def test_a_weaker_model_comes_along(tmp_path):
    path, weak = write_models(tmp_path)
    request = ExportRequest(EXPORT_FORMATS["onnx"], SAMPLING, guide_with=str(weak))
    model = load_model(find_model(None, str(path)), request)
    assert model.guide_with == "weak.safetensors@500"
    pairs = zip(model.denoiser.parameters(), model.weaker.parameters(), strict=True)
    assert all((0.5 * strong == weak).all() for strong, weak in pairs)
    assert "with the network of weak.safetensors@500 inside it is 2 times as large" in (
        describe_weaker(model)
    )


def test_a_model_that_reads_positions_is_exported_where_they_can_be_given(tmp_path):
    model = trained(data={"image_size": 16, "crop": 16, "crop_position": True})
    (tmp_path / "placed.safetensors").write_bytes(build_safetensors(model))
    source = find_model(None, str(tmp_path / "placed.safetensors"))
    for row in EXPORT_FORMATS.values():
        if row.takes_positions:
            again = load_model(source, ExportRequest(row, SAMPLING))
            assert again.denoiser.condition_channels == 2
        else:
            with pytest.raises(UsageError, match="the positions of crops") as refused:
                load_model(source, ExportRequest(row, SAMPLING))
            assert "iddm export safetensors" in refused.value.hint
    takes = {name for name, row in EXPORT_FORMATS.items() if row.takes_positions}
    assert takes == {"onnx", "safetensors"}


def test_a_safetensors_file_keeps_its_suffix(tmp_path):
    row = EXPORT_FORMATS["safetensors"]
    with pytest.raises(UsageError, match=r"must end in \.safetensors"):
        resolve_output("first", ExportRequest(row, {}, out=tmp_path / "first.bin"))


def fail_at(monkeypatch, call: str, number: int = 1) -> None:
    """Let the n-th of some calls of the disk fail."""
    real, made = getattr(durable.Disk, call), []

    def fail(*given: object) -> object:
        made.append(given)
        if len(made) == number:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*given)

    monkeypatch.setattr(durable.Disk, call, fail)


@pytest.mark.parametrize("call", ["create", "write", "flush", "rename"])
@pytest.mark.parametrize("content", [b"x", {"a": b"x", "in/b": b"y"}], ids=["file", "folder"])
def test_a_failed_export_says_that_nothing_is_left_where_that_is_so(
    tmp_path, monkeypatch, call, content
):
    fail_at(monkeypatch, call)
    with pytest.raises(RunError, match="cannot be written: Input/output error") as failed:
        write_artifact(tmp_path / "new" / "x", ExportArtifact(content))
    assert failed.value.hint == "Nothing was left behind."
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_names_what_it_could_not_remove(tmp_path, monkeypatch):
    fail_at(monkeypatch, "write")
    fail_at(monkeypatch, "remove")
    with pytest.raises(RunError) as failed:
        write_artifact(tmp_path / "x", ExportArtifact(b"x"))
    (left,) = tmp_path.iterdir()
    assert failed.value.hint == f"Remove what is left: {left}"


@pytest.mark.parametrize("content", [b"x", {"a": b"x"}], ids=["file", "folder"])
def test_an_export_that_is_there_though_the_disk_failed_is_not_denied(
    tmp_path, monkeypatch, content
):
    fail_at(monkeypatch, "flush_folder", 1 if isinstance(content, bytes) else 2)
    with pytest.raises(RunError, match="is written, but the disk failed to flush it") as failed:
        write_artifact(tmp_path / "x", ExportArtifact(content))
    assert "complete" in failed.value.hint
    assert (tmp_path / "x").exists()
    assert len(list(tmp_path.iterdir())) == 1


def test_an_export_that_was_interrupted_while_its_files_were_moved_is_replaced(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / durable.INCOMPLETE).touch()
    check_output_folder(tmp_path / "x", marker="model_index.json", overwrite=False)
    write_artifact(tmp_path / "x", ExportArtifact({"a": b"x"}))
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["a"]
