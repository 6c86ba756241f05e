"""Weights of an exported file: damage is found before they are used."""

import pytest

from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.export.exported_weights import ExportedWeights
from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.runs.exported_file import open_exported_file


@pytest.mark.parametrize("place", [0.02, 0.3, 0.99])
def test_a_flipped_bit_is_found(file, place, model):
    raw = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(raw[:8], "little")
    raw[start + int(place * (len(raw) - start))] ^= 1
    file.write_bytes(raw)
    saved = ExportedWeights(open_exported_file(file))
    with pytest.raises(CheckpointError, match="its SHA-256 has changed"):
        saved.read("average", model.denoiser.backbone.state_dict())


@pytest.mark.parametrize("length", [0, 5, 8, 100, -1, -5000])
def test_a_file_that_was_cut_off_is_found(file, length, model):
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(CheckpointError):
        ExportedWeights(open_exported_file(file)).read(
            "average", model.denoiser.backbone.state_dict()
        )


def test_the_other_weights_are_not_there(file):
    with pytest.raises(UsageError, match="holds the average weights only"):
        ExportedWeights(open_exported_file(file)).read("model")


def test_numbers_that_are_not_finite_are_refused(tmp_path, model):
    next(model.denoiser.parameters()).fill_(float("nan"))
    path = tmp_path / "nan.safetensors"
    path.write_bytes(build_safetensors(model))
    with pytest.raises(CheckpointError, match="not finite"):
        ExportedWeights(open_exported_file(path)).read("average")
