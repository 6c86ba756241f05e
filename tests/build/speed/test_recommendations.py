"""Recommendations: the fastest settings, and what each changes."""

import pytest

from iddm_cli.build.speed.recommendations import Measurements
from iddm_cli.build.speed.variants import Kind, Variant


def variant(kind: Kind, precision: str, images: int, seconds: float) -> Variant:
    return Variant(kind, precision, images, lambda: None, first=9.0, seconds=[seconds])


def measure(*rows: tuple[Kind, str, int, float], precision: str = "fp32") -> Measurements:
    variants = [variant(*row) for row in rows]
    return Measurements(variants, batch_size=64, sampling_batch=64, precision=precision)


TRAINING = [("training", "fp32", 8, 1.0), ("training", "fp32", 64, 8.0)]


def test_where_nothing_is_faster_nothing_is_recommended():
    assert measure(*TRAINING).recommend() == []
    assert measure().recommend() == []


def test_what_ran_only_once_is_not_compared():
    faster = Variant("training", "bf16", 64, lambda: None, first=0.1)
    variants = [*(variant(*row) for row in TRAINING), faster]
    measured = Measurements(variants, batch_size=64, sampling_batch=64, precision="fp32")
    assert measured.variants == variants, "it is shown all the same"
    assert measured.recommend() == []


def test_a_faster_precision_is_recommended_with_what_it_changes():
    faster = ("training", "bf16", 64, 4.0)
    (found,) = measure(*TRAINING, faster).recommend()
    assert found.setting == "runtime.precision=bf16"
    assert found.gain == pytest.approx(2)
    assert "weights" in found.changes
    assert measure(*TRAINING, faster, precision="bf16").recommend() == []


def test_micro_batches_are_recommended_where_they_are_faster():
    quick = [("training", "fp32", 8, 0.6), ("training", "fp32", 64, 8.0)]
    (found,) = measure(*quick).recommend()
    assert found.setting == "training.micro_batch=8"
    assert "last bits" in found.changes


def test_the_optimizer_counts_once_for_a_batch():
    rows = [*TRAINING, ("gradients", "fp32", 8, 0.4)]
    measured = measure(*rows)
    small, whole = measured.select("training", "fp32")
    assert measured.step_seconds(small) == pytest.approx(8 * 0.4 + 0.6)
    assert measured.step_seconds(whole) == pytest.approx(8.0)
    assert [one.setting for one in measured.recommend()] == ["training.micro_batch=8"]


def test_more_than_the_batch_is_not_recommended_for_training():
    for precision in ("fp32", "bf16"):
        assert measure(*TRAINING, ("training", precision, 128, 1.0)).recommend() == []


def test_the_fastest_number_of_images_is_recommended_for_sampling():
    rows = [("sampling", "fp32", 8, 1.0), ("sampling", "fp32", 64, 16.0)]
    (found,) = measure(*rows).recommend()
    assert (found.setting, found.changes) == ("sampling.batch_size=8", "nothing")
    assert found.gain == pytest.approx(2)
