"""A small exported model, and folders of images."""

from pathlib import Path

import pytest

from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.runs.exported_file import open_exported_file
from iddm_cli.workflows.models import FileModel
from tests.export.conftest import trained
from tests.threads import one_thread  # noqa: F401


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def model_bytes() -> bytes:
    return build_safetensors(trained(sampling={"sampler": "ddim"}))


@pytest.fixture
def model(tmp_path, model_bytes) -> FileModel:
    path = tmp_path / "steel.safetensors"
    path.write_bytes(model_bytes)
    return FileModel(open_exported_file(path))
