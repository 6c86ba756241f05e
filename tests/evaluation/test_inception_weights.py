"""The weights of Inception: from a file, from the cache, downloaded, and refused."""

import pickle

import pytest
import torch

from iddm_cli.errors import IddmError
from iddm_cli.evaluation.inception_weights import (
    default_weights_path,
    load_inception_weights,
    weights_url,
)

torch_fidelity = pytest.importorskip("torch_fidelity")
NAME = "weights-inception-2015-12-05-6726825d.pth"


@pytest.fixture(autouse=True)
def no_network(tmp_path, monkeypatch):
    """Let downloads be refused, and the cache be empty."""
    module = torch_fidelity.feature_extractor_inceptionv3
    monkeypatch.setattr(module, "URL_INCEPTION_V3", f"http://127.0.0.1:9/{NAME}")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


RIGHT = {"fc.weight": torch.zeros(1008, 2048)}


def test_a_refused_download_names_file_address_and_place(tmp_path):
    with pytest.raises(IddmError) as caught:
        load_inception_weights()
    assert weights_url() in caught.value.problem
    assert "refused" in caught.value.problem
    assert str(tmp_path / "hub" / "checkpoints" / NAME) in caught.value.hint
    assert "--inception-weights" in caught.value.hint


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "hub").write_text("not a folder")
    with pytest.raises(IddmError, match="cannot be downloaded"):
        load_inception_weights()


def test_the_cache_is_used_before_anything_is_downloaded():
    write(default_weights_path(), RIGHT)
    loaded = load_inception_weights()
    assert loaded.tensors["fc.weight"].shape == (1008, 2048)
    assert not loaded.is_original


def test_the_published_file_is_known_by_its_hash(tmp_path, monkeypatch):
    path = write(tmp_path / "mine.pth", RIGHT)
    import hashlib

    prefix = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    module = torch_fidelity.feature_extractor_inceptionv3
    monkeypatch.setattr(module, "URL_INCEPTION_V3", f"https://a.example/weights-{prefix}.pth")
    assert load_inception_weights(path).is_original


def test_they_are_handed_on_as_a_file_of_tensors(tmp_path):
    file = load_inception_weights(write(tmp_path / "mine.pth", RIGHT)).to_file()
    assert torch.load(file, weights_only=True)["fc.weight"].equal(RIGHT["fc.weight"])


class Harmful:
    def __reduce__(self):
        return (pytest.fail, ("the file ran code",))


@pytest.mark.parametrize(
    "content", [{"fc.weight": torch.zeros(1000, 2048)}, {"fc.weight": 3}, [1, 2], Harmful()]
)
def test_other_files_are_refused_and_run_nothing(tmp_path, content):
    path = write(tmp_path / "mine.pth", content)
    with pytest.raises(IddmError, match="does not hold the weights of Inception"):
        load_inception_weights(path)


@pytest.mark.parametrize("content", [b"", b"<html>", pickle.dumps({"a": 1}), b"PK\x03\x04rest"])
def test_damaged_files_are_refused(tmp_path, content):
    (tmp_path / "mine.pth").write_bytes(content)
    with pytest.raises(IddmError, match=r"mine\.pth does not hold the weights of Inception"):
        load_inception_weights(tmp_path / "mine.pth")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(IddmError, match=r"mine\.pth cannot be read: No such file"):
        load_inception_weights(tmp_path / "mine.pth")
