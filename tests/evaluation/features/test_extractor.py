import math
from dataclasses import replace

import pytest
import torch

from iddm_cli.errors import DatasetError, IddmError
from iddm_cli.evaluation.features import extractor as module
from iddm_cli.evaluation.features import feature_training
from iddm_cli.evaluation.features.extractor import load_or_train
from iddm_cli.evaluation.image_set import ImageSet
from tests.evaluation.shapes import render_shapes


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(feature_training, "MIN_STEPS", 2)
    monkeypatch.setattr(feature_training, "EPOCHS", 1)


def stages_of(call):
    stages = []
    result = call(lambda stage, done, total: stages.append(stage))
    return result, set(stages)


def test_a_small_network_names_shapes_that_it_has_not_seen(extractor):
    summary = extractor.summary
    assert (summary.task, summary.trained_on, summary.tested_on) == ("classes", 240, 120)
    assert summary.chance == 0.25 and summary.accuracy > 0.9
    images = render_shapes(20, seed=7)
    assert float((extractor.predict(images) == images.labels).double().mean()) > 0.9


def test_network_and_features_come_from_the_cache_the_second_time(few_steps, tmp_path):
    training, test = render_shapes(5), render_shapes(3, seed=1)

    def run(progress):
        extractor = load_or_train(training, test, folder=tmp_path, progress=progress)
        return extractor, extractor.features(test, progress)

    (first, features), stages = stages_of(run)
    assert "training the feature network" in stages
    (second, again), stages = stages_of(run)
    assert stages == set()
    assert first.summary == second.summary and first.digest == second.digest
    assert torch.equal(features, again) and features.shape == (12, 192)
    files = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {".safetensors", ".json"}


@pytest.mark.parametrize("change", ["images", "labels", "seed"])
def test_other_data_or_another_seed_is_another_network(few_steps, tmp_path, change):
    images, test = render_shapes(5), render_shapes(3, seed=1)
    first = load_or_train(images, test, folder=tmp_path)
    other = {
        "images": render_shapes(5, seed=2),
        "labels": replace(images, labels=images.labels.roll(1)),
        "seed": images,
    }[change]
    second = load_or_train(other, test, folder=tmp_path, seed=int(change == "seed"))
    assert first.digest != second.digest


def test_a_damaged_network_is_trained_again(few_steps, tmp_path):
    images, test = render_shapes(5), render_shapes(3, seed=1)
    first = load_or_train(images, test, folder=tmp_path)
    for path in tmp_path.glob("network-*/*.safetensors"):
        path.write_bytes(path.read_bytes()[:-100])
    assert load_or_train(images, test, folder=tmp_path).digest == first.digest


def test_ctrl_c_leaves_nothing_broken(few_steps, tmp_path):
    images, test = render_shapes(5), render_shapes(3, seed=1)

    def interrupt(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_or_train(images, test, folder=tmp_path, progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    load_or_train(images, test, folder=tmp_path)


def test_a_training_that_is_evaluated_goes_on_with_the_same_random_numbers(few_steps, tmp_path):
    state = torch.get_rng_state()
    load_or_train(render_shapes(3), render_shapes(3, seed=1), folder=tmp_path)
    load_or_train(render_shapes(3), render_shapes(3, seed=1), folder=tmp_path)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("classes", [(), ("one",)])
def test_without_classes_the_task_is_rotations(few_steps, tmp_path, classes):
    labels = torch.zeros(12, dtype=torch.int64) if classes else None
    training, test = (
        replace(render_shapes(3, seed=seed), labels=labels, classes=classes) for seed in (0, 1)
    )
    found = load_or_train(training, test, folder=tmp_path)
    assert found.summary.task == "rotations"
    assert found.summary.tested_on == 12 and 0 <= found.summary.accuracy <= 1
    assert found.features(test).shape == (12, 192)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("channels", [1, 4, 16])
@pytest.mark.parametrize("counts", [(1, 0), (1, 1), (5, 1)])
def test_very_few_images_of_any_kind(few_steps, tmp_path, dtype, channels, counts):
    labels = torch.arange(2).repeat_interleave(torch.tensor(counts))
    pixels = torch.randint(0, 255, (len(labels), channels, 9, 12)).to(dtype)
    images = ImageSet("few", pixels, labels, ("a", "b"))
    found = load_or_train(images, images.select(labels < 0), folder=tmp_path)
    assert math.isnan(found.summary.accuracy)
    assert found.features(images).isfinite().all()


def test_accuracy_is_the_mean_over_classes():
    labels = torch.tensor([0] * 9 + [1])
    images = ImageSet("test", torch.zeros(10, 1, 1, 1, dtype=torch.uint8), labels, ("a", "b"))
    predicted = torch.zeros(10, dtype=torch.int64)
    summary = module._summarize(images, predicted, named=True, trained_on=5)
    assert summary.accuracy == 0.5 and summary.chance == 0.5


def test_images_of_other_channels_are_refused(extractor):
    with pytest.raises(IddmError, match="3 channels") as caught:
        extractor.features(render_shapes(2, channels=3))
    assert caught.value.hint


def test_nothing_to_train_on_is_an_error(tmp_path):
    images = render_shapes(1)
    with pytest.raises(DatasetError, match="no image"):
        load_or_train(images.select(images.labels < 0), images, folder=tmp_path)


def test_the_size_of_batches_does_not_matter(extractor, monkeypatch):
    images = render_shapes(10, seed=5)
    whole = module._compute(extractor.network, images, lambda *_: None)
    monkeypatch.setattr(module, "BATCH_SIZE", 7)
    parts = module._compute(extractor.network, images, lambda *_: None)
    assert torch.allclose(whole["features"], parts["features"], atol=1e-5)
    assert torch.equal(whole["predicted"], parts["predicted"])
