"""The length of a training: steps, and what is too short to learn anything."""

import math
from pathlib import Path

import pytest

from iddm_cli.profiles.loading import load_profile
from iddm_cli.profiles.settings import TrainingSettings
from iddm_cli.profiles.training_length import (
    advise_length,
    choose_augment,
    count_steps,
    count_steps_before_copies,
    is_too_short,
    suggest_steps,
)


def test_epochs_become_steps():
    assert count_steps(TrainingSettings(epochs=3, batch_size=8), 20) == math.ceil(3 * 20 / 8)
    assert count_steps(TrainingSettings(epochs=None, steps=7), 20) == 7


def texts(images: int, **settings) -> list[str]:
    """Return the advice, warnings with an exclamation mark."""
    advice = advise_length(TrainingSettings(**settings), images)
    return [f"{'!' * item.is_warning}{item.text}" for item in advice]


def test_epochs_of_few_images_are_too_few_steps():
    warning, batch, few = texts(10, epochs=20, batch_size=64, lr_schedule="constant")
    assert warning == (
        "!20 epochs of 10 images are only 4 steps of 64 images: too few to learn anything, so the "
        "images will be noise; --steps 500"
    )
    assert batch.endswith("so it takes each 6.4 times; --batch-size 10 takes each once")
    assert few.startswith("with 10 images in all, a model memorizes them")


@pytest.mark.parametrize(
    ("steps", "batch", "short"),
    [(25, 64, True), (100, 64, True), (200, 64, False), (400, 64, False),  # what was measured
     (200, 8, True), (800, 8, False)],
)  # fmt: skip
def test_what_generated_noise_is_too_short_and_what_generated_shapes_is_not(steps, batch, short):
    settings = TrainingSettings(steps=steps, epochs=None, batch_size=batch)
    assert is_too_short(settings, steps) is short
    assert any(line.startswith("!") for line in texts(10**4, **settings.model_dump())) is short


@pytest.mark.parametrize("batch", [1, 4, 8, 16, 64, 256])
def test_the_suggestion_is_long_enough(batch):
    settings = TrainingSettings(batch_size=batch)
    assert not is_too_short(settings, suggest_steps(settings))


def test_a_training_far_beyond_the_suggestion_names_it():
    """90 images, of which those of docs/evaluating.md are memorized after step 550."""
    (note,) = texts(90, steps=3000, epochs=None, batch_size=32)
    assert note == (
        "the training takes each image 1,067 times, and a model may copy its images after about "
        "200; --steps 563, --set training.stop_when=held_out_worse, which ends the run in time or "
        "--set data.augment=auto, which postpones it"
    )
    assert texts(90, steps=1126, epochs=None, batch_size=32, checkpoint_every=9) == []
    assert texts(90, steps=3000, epochs=None, batch_size=32, stop_when="held_out_worse") == []


def test_epochs_that_nobody_chose_are_compared_with_the_suggestion():
    (note,) = texts(600, checkpoint_every=9)
    assert "takes each image 300 times" in note
    assert "--steps 1875" in note
    assert texts(600, epochs=200, checkpoint_every=9) == []
    assert texts(5000, epochs=300) == [], "of many images"


def test_augmentation_is_not_suggested_to_those_who_have_it_nor_anything_to_a_resumed_run():
    settings = TrainingSettings(steps=3000, epochs=None, batch_size=32)
    (note,) = advise_length(settings, 90, augmented=True)
    assert "data.augment" not in note.text
    assert advise_length(settings, 90, resumed=True) == []


@pytest.mark.parametrize("images", [10, 50, 90, 500, 4999])
@pytest.mark.parametrize("batch", [4, 32, 256])
def test_a_suggestion_is_followed_by_no_other(images, batch):
    """What is suggested for few images is neither too short nor too long."""
    settings = TrainingSettings(batch_size=batch, checkpoint_every=1)
    steps = count_steps_before_copies(settings, images)
    followed = texts(images, steps=steps, epochs=None, batch_size=batch, checkpoint_every=1)
    assert not any("--steps" in line for line in followed)


@pytest.mark.parametrize(
    ("images", "settings", "expected"),
    [
        (90, {"steps": 3000, "batch_size": 32}, 0.12),
        (4999, {"epochs": 100}, 0.12),
        (5000, {"epochs": 100}, "off"),
        (4999, {"epochs": 99, "batch_size": 1}, "off"),
    ],
)
def test_auto_augments_few_images_that_are_trained_on_often(images, settings, expected):
    changes = {"epochs": None} | settings
    assert choose_augment(TrainingSettings(**changes), images) == expected


def test_a_test_of_the_setup_is_no_warning():
    assert texts(600, steps=10, epochs=None, batch_size=8) == [
        "10 steps only test the setup; for a first model: --steps 1000"
    ]


def test_a_warmup_that_never_ends_is_reported():
    (warning,) = texts(600, epochs=50, batch_size=128, warmup_steps=5000, lr=1e-3,
                       lr_schedule="constant", checkpoint_every=10)  # fmt: skip
    assert warning == (
        "!the warm-up takes 5,000 steps, and the training has 235: the learning rate reaches "
        "4.7e-05; --set training.warmup_steps=11"
    )


def test_a_new_run_of_an_extended_profile_is_told_so():
    extended = {"steps": 3000, "epochs": None, "extensions": [[1000, "keep"]]}
    (hint,) = texts(6000, **extended)
    assert "extended at step 1,000" in hint
    assert "training.extensions=[]" in hint
    assert advise_length(TrainingSettings(**extended), 6000, resumed=True) == []
    assert texts(6000, **extended | {"steps": 1000}) == []


def test_a_run_with_one_checkpoint_is_told_so():
    (hint,) = texts(6000, steps=800, epochs=None)
    assert "training.checkpoint_every=80" in hint


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")), ids=lambda p: p.stem
)
def test_no_shipped_profile_is_warned_about(path):
    training = load_profile(str(path), []).training
    images = {"cifar10": 50_000, "fashion-mnist": 60_000, "neu-det": 1800, "small-set": 100}.get(
        path.stem, 3000
    )
    assert not any(item.is_warning for item in advise_length(training, images))
