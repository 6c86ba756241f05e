"""Usefulness: useful images help, useless ones do not, and a second call trains nothing."""

from dataclasses import replace

import pytest
import torch

from iddm_cli.evaluation.usefulness import measure_usefulness, measurement
from tests.evaluation.usefulness.conftest import make_images, repeat

REAL, HELD_OUT = make_images("train", 16, seed=1), make_images("held-out", 200, seed=2)
OTHERS = make_images("others", 64, seed=3)


def make_noise(images):
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, images.pixels.shape, generator=generator, dtype=torch.uint8)
    return replace(images, pixels=pixels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Classifiers without generated images are trained once for all planted sets."""
    return tmp_path_factory.mktemp("classifiers")


PLANTED = {
    "other real images": (OTHERS, "helps"),
    "duplicates": (repeat(REAL, 4), "does not help"),
    "noise": (make_noise(OTHERS), "does not help"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_images_are_called_what_they_are(name, quick, folder):
    quick(60)
    generated, verdict = PLANTED[name]
    found = measure_usefulness(REAL, HELD_OUT, generated, seeds=4, ratios=(4,), folder=folder)
    assert found.verdict == verdict, found


def measure(*, held_out=HELD_OUT, generated=OTHERS, **changes):
    settings = {"real_per_class": 3, "seeds": 2, "ratios": (1, 2)} | changes
    return measure_usefulness(REAL, held_out, generated, **settings)


@pytest.fixture
def trainings(monkeypatch):
    """List the seed and the number of updates of each classifier that is trained."""
    seen: list[tuple[int, int]] = []
    train = measurement.train_classifier

    def note_and_train(images, **settings):
        seen.append((settings["seed"], settings["updates"]))
        return train(images, **settings)

    monkeypatch.setattr(measurement, "train_classifier", note_and_train)
    return seen


def test_the_result_says_what_was_measured(quick):
    quick(2)
    found = measure(left_out={"near copy": 3})
    assert [(arm.real, arm.generated) for arm in found.arms] == [
        (9, 0), (9, 0), (27, 0), (9, 9), (9, 18), (0, 18)
    ]  # fmt: skip
    assert (found.real_per_class, found.tested_on, found.seeds) == (3, len(HELD_OUT), 2)
    assert found.real_available == 16
    assert found.is_limited
    assert found.left_out == {"near copy": 3}
    assert all(len(arm.by_seed) == 2 for arm in found.arms)
    means = {arm.name: arm.accuracy.value for arm in found.arms}
    assert means[found.best_without] == max(list(means.values())[:3])
    assert means[found.best_with] == max(list(means.values())[3:])
    assert found.gain.low <= found.gain.value <= found.gain.high


def test_a_measurement_that_was_cut_off_continues_and_agrees(quick, tmp_path, trainings):
    quick(2)

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "classifier 7 of 12":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(folder=tmp_path, progress=stop)
    trainings.clear()
    again = measure(folder=tmp_path)
    assert len(trainings) == 12 - 6
    trainings.clear()
    assert measure(folder=tmp_path) == again
    assert trainings == []
    assert measure() == again


def test_other_generated_images_train_only_their_own_arms(quick, tmp_path, trainings):
    quick(1)
    measure(folder=tmp_path)
    trainings.clear()
    measure(folder=tmp_path, generated=make_noise(OTHERS))
    assert len(trainings) == 2 * 3


def test_every_arm_makes_as_many_updates(quick, trainings):
    quick(2)
    stages: list[str] = []
    measure(progress=lambda stage, done, total: stages.append(f"{stage}: {done}/{total}"))
    assert trainings == [(seed, 2) for seed in (0, 1) for _ in range(6)]
    assert stages[0] == "classifier 1 of 12: 1/2"
    assert stages[-1] == "classifier 12 of 12: 2/2"


def test_few_images_and_missing_classes_have_a_result(quick):
    quick(1)
    found = measure(
        held_out=HELD_OUT.select(torch.tensor([0, 200])),
        generated=OTHERS.select(torch.tensor([0, 1, 70])),
        real_per_class=None,
        ratios=(0.25, 0.5, 1, 2),
    )
    assert found.tested_on == 2
    assert found.real_per_class == found.real_available == 16
    assert not found.is_limited
    assert [arm.generated for arm in found.arms] == [0, 0, 0, 3, 3]
    assert found.verdict in ("does not help", "cannot tell")
