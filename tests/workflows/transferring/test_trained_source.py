"""A trained model to start from: what may be one, and how it is named."""

import pytest

from iddm_cli.errors import RunError, UsageError
from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.workflows.transferring.trained_source import find_source, parse_source
from tests.export.conftest import trained
from tests.workflows.distilling.runs import make_run
from tests.workflows.distilling.test_teacher import save_checkpoint


def test_a_run_is_named_with_or_without_a_step():
    assert parse_source("first") == ("first", None)
    assert parse_source("first@500") == ("first", 500)
    assert parse_source("first@best") == ("first", "best")
    for text in ("", "@500"):
        with pytest.raises(UsageError, match="names no model"):
            parse_source(text)


def test_a_run_inside_the_folder_of_runs_is_called_by_its_name(tmp_path):
    save_checkpoint(make_run(tmp_path / "runs"), 5, 0.5)
    source = find_source(tmp_path / "runs", "pets", None)
    assert (source.step, source.weights, source.classes) == (5, "average", ("cat", "dog"))
    assert source.refer_from(tmp_path / "runs") == "pets"
    assert source.refer_from(tmp_path) == str(source.path)


def test_an_exported_file_has_the_weights_that_it_has(tmp_path):
    model = trained()
    path = tmp_path / "raw.safetensors"
    path.write_bytes(build_safetensors(model.__class__(**{**vars(model), "weights": "raw"})))
    source = find_source(tmp_path, str(path), None)
    assert source.weights == "raw"
    assert source.open_weights().read("model")


def test_what_is_no_source_is_refused_with_what_to_do(tmp_path):
    make_run(tmp_path, distillation={"teacher": "first"}, evaluation={"loss_every": 0})
    with pytest.raises(UsageError, match="pets was distilled") as refused:
        find_source(tmp_path, "pets", None)
    assert "--from first" in refused.value.hint
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_index.json").write_text("{}")
    with pytest.raises(UsageError, match="not a run of iddm") as refused:
        find_source(tmp_path / "runs", str(tmp_path / "model"), None)
    assert "iddm import" in refused.value.hint
    with pytest.raises(RunError, match="no run 'nobody'"):
        find_source(tmp_path, "nobody", None)
