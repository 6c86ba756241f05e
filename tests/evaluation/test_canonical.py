"""Canonical numbers by torch-fidelity, with random weights and an early layer of Inception."""

import sys
from dataclasses import replace

import pytest
import torch

from iddm_cli.data.progress import no_progress
from iddm_cli.errors import IddmError, UsageError
from iddm_cli.evaluation import canonical
from iddm_cli.evaluation.canonical import measure_canonical
from iddm_cli.evaluation.comparison.distances import frechet_distance
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.inception_weights import InceptionWeights
from tests.evaluation.inception import write_random_weights
from tests.evaluation.planted import textures

REAL = ImageSet("real images", textures(16, side=16, channels=3))
GENERATED = ImageSet("generated images", textures(12, side=16, channels=3, seed=1))


LAYERS = canonical.LAYERS
EARLY = dict.fromkeys(LAYERS, "64")
"""64 features of an early layer: with the 2,048 of the last one, the tests would take a minute."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Place random weights where a download would put them, and use an early layer."""
    folder = tmp_path_factory.mktemp("torch")
    file = write_random_weights(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(folder))
        patch.setattr(canonical, "LAYERS", EARLY)
        yield file


@pytest.fixture(scope="module")
def measured(cache):
    """Measure once, and note the progress."""
    told = []
    progress = lambda *report: told.append(report)  # noqa: E731
    return measure_canonical(REAL, GENERATED, weights=None, progress=progress), told


def values(real, generated):
    found = measure_canonical(real, generated, weights=None)
    return {key: number.value for key, number in found.numbers.items()}


def test_numbers_come_out_finite_and_the_same_each_time(measured):
    first = {key: number.value for key, number in measured[0].numbers.items()}
    assert list(first) == ["fid", "kid", "inception_score", "precision", "recall"]
    assert torch.tensor(list(first.values())).isfinite().all()
    assert values(REAL, GENERATED) == first


def test_the_layers_are_those_of_the_original_programs():
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    default = module.FeatureExtractorInceptionV3.get_default_feature_layer_for_metric
    assert {metric: default(metric) for metric in ("isc", "fid", "kid", "prc")} == {
        name.removeprefix("feature_layer_"): layer for name, layer in LAYERS.items()
    }


def test_a_set_against_itself_is_at_zero_distance(cache):
    found = values(REAL, replace(REAL, name="generated images"))
    assert found["fid"] == pytest.approx(0, abs=1e-3)
    assert (found["precision"], found["recall"]) == (1, 1)


def test_fid_is_our_frechet_distance_of_the_same_features(measured):
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    network = module.FeatureExtractorInceptionV3("inception-v3-compat", ["64"])
    x, y = (network(images.pixels)[0] for images in (REAL, GENERATED))
    fid = measured[0].numbers["fid"].value
    assert fid == pytest.approx(frechet_distance(x, y), rel=1e-3)


def test_precision_asks_about_generated_images_and_recall_about_real_ones(cache):
    few = replace(GENERATED, pixels=REAL.pixels[:2].repeat(6, 1, 1, 1))
    found = values(REAL, few)
    assert found["precision"] == 1
    assert found["recall"] <= 0.25


def test_grey_and_deep_images_are_measured_as_8_bit_rgb():
    grey = [replace(images, pixels=images.pixels[:, :1]) for images in (REAL, GENERATED)]
    repeated = [replace(one, pixels=one.pixels.expand(-1, 3, -1, -1)) for one in grey]
    deep = [replace(one, pixels=(one.pixels.int() * 257).to(torch.uint16)) for one in grey]
    expected = [canonical._RGBImages(one, no_progress)[3] for one in repeated]
    for one in (grey, deep):
        found = [canonical._RGBImages(images, no_progress)[3] for images in one]
        assert all(x.equal(y) for x, y in zip(found, expected, strict=True))


def test_count_and_resizing_stand_beside_the_numbers(measured):
    found = measured[0]
    assert found.description == (
        "12 generated and 16 real images, resized from 16 × 16 to 299 × 299 as in TensorFlow 1, "
        "KID over 100 subsets of 12"
    )
    assert {number.count for number in found.numbers.values()} == {12}
    few, other = found.warnings
    assert few.startswith("FID of 12 images is too high")
    assert other.startswith("The weights differ from those that torch-fidelity publishes")


def test_no_warning_of_enough_images_and_original_weights(monkeypatch):
    weights = InceptionWeights({}, is_original=True)
    assert len(canonical._warn(REAL, GENERATED, weights)) == 1
    monkeypatch.setattr(canonical, "ENOUGH_IMAGES", 12)
    assert canonical._warn(REAL, GENERATED, weights) == ()


@pytest.mark.parametrize(
    ("real", "generated", "expected"),
    [(16, 12, (12, 100)), (12, 12, (12, 1)), (3000, 1000, (1000, 100)), (1000, 1000, (1000, 1))],
)
def test_subsets_of_kid_adapt_to_the_count(real, generated, expected):
    pixels = torch.zeros(1, 1, 1, 1, dtype=torch.uint8)
    sets = [ImageSet("images", pixels.expand(n, -1, -1, -1)) for n in (real, generated)]
    assert canonical._kid_subsets(*sets) == expected


def test_progress_counts_the_images(measured):
    told = measured[1]
    assert told[-1] == ("Inception features of real images", 16, 16)
    assert ("Inception features of generated images", 12, 12) in told


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_are_an_error(channels):
    images = ImageSet("real images", textures(12, channels=channels))
    with pytest.raises(
        IddmError, match=rf"1 or 3 channels, and these have {channels}: real images"
    ):
        measure_canonical(images, images, weights=None)


def test_too_few_images_are_an_error():
    few = GENERATED.select(torch.arange(9))
    with pytest.raises(IddmError, match="at least 10 images, and these are 9: generated images"):
        measure_canonical(REAL, few, weights=None)


def test_weights_without_meaning_give_one_sentence(cache, tmp_path):
    tensors = torch.load(cache, weights_only=True)
    tensors["Conv2d_1a_3x3.conv.weight"].fill_(torch.nan)
    torch.save(tensors, tmp_path / "mine.pth")
    with pytest.raises(IddmError, match="torch-fidelity cannot compute FID"):
        measure_canonical(REAL, GENERATED, weights=tmp_path / "mine.pth")


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setattr("iddm_cli.extras.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="packages that are not installed: torch_fidelity") as e:
        measure_canonical(REAL, GENERATED, weights=None)
    assert "pip install 'iddm-cli[evaluate]'" in e.value.hint
