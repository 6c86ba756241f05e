"""Study: which images are trained on and tested on, and how long."""

import torch

from iddm_cli.evaluation.usefulness import study as studies
from iddm_cli.evaluation.usefulness.arms import Arm, build_arms
from iddm_cli.evaluation.usefulness.study import choose_tested, prepare_study
from tests.evaluation.usefulness.conftest import make_images

REAL, HELD_OUT = make_images("train", 5, seed=0), make_images("test", 4, seed=1)
GENERATED = make_images("generated", 9, seed=2)


def prepare(real_per_class: int | None = 3, generated=GENERATED):
    return prepare_study(REAL, HELD_OUT, generated, real_per_class=real_per_class)


def count_rows(pixels: torch.Tensor, known: torch.Tensor) -> list[int]:
    """Return how often each known image occurs."""
    rows, wanted = pixels.int().flatten(1), known.int().flatten(1)
    return (rows[:, None] == wanted[None]).all(2).sum(0).tolist()


def test_every_arm_of_a_seed_trains_on_the_same_real_images():
    study = prepare()
    real, made = study.pixels[: len(REAL)], study.pixels[len(REAL) :]
    sets = {arm: study.compose(arm, 1) for arm in build_arms((1, 2))}
    chosen = [min(1, n) for n in count_rows(sets[Arm("real only")].pixels, real)]
    assert sum(chosen) == 9
    for arm, training in sets.items():
        assert count_rows(training.pixels, real) == [arm.real * n for n in chosen]
        assert sum(count_rows(training.pixels, made)) == 9 * arm.generated
        assert training.labels.bincount().tolist() == [3 * arm.real + 3 * arm.generated] * 3


def test_images_keep_their_labels():
    study = prepare(None)
    training = study.compose(Arm("all", generated=3), 0)
    every = torch.cat([REAL.labels, GENERATED.labels])
    for pixels, label in zip(training.pixels, training.labels, strict=True):
        position = count_rows(pixels[None], study.pixels).index(1)
        assert every[position] == label


def test_more_real_images_than_there_are_mean_all_of_them():
    assert prepare(None).real_per_class == prepare(99).real_per_class == 5
    assert prepare(None).describe(Arm("real"), 0) == prepare(99).describe(Arm("real"), 0)


def test_the_facts_of_an_arm_name_the_generated_images_only_where_it_has_some():
    other = make_images("other", 9, seed=7)
    mixed, plain = Arm("mixed", generated=1), Arm("plain")
    assert prepare().describe(plain, 0) == prepare(generated=other).describe(plain, 0)
    assert prepare().describe(mixed, 0) != prepare(generated=other).describe(mixed, 0)
    assert prepare().describe(mixed, 0) != prepare().describe(mixed, 1)


def test_updates_grow_with_the_images_between_two_limits(monkeypatch):
    study = prepare()
    assert study.count_updates(2) == studies.MIN_UPDATES
    monkeypatch.setattr(studies, "MIN_UPDATES", 1)
    assert study.count_updates(2) == round(studies.EPOCHS * 27 / 64)
    assert study.count_updates(1e6) == studies.MAX_UPDATES


def test_only_classes_that_are_trained_on_are_tested(monkeypatch):
    few = REAL.select(REAL.labels != 1)
    assert HELD_OUT.labels[choose_tested(HELD_OUT, few)].tolist() == [0] * 4 + [2] * 4
    monkeypatch.setattr(studies, "MAX_TESTED", 5)
    assert len(choose_tested(HELD_OUT, few).unique()) == 5
