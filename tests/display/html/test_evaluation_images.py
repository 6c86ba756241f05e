"""Which images are shown: a fixed choice, within the bytes that they may take."""

from iddm_cli.display.html.evaluation_images import build_examples, build_pairs
from tests.display.evaluations import make_evaluation, make_images, make_quality

NAMES = tuple(f"class {i}" for i in range(60))


def make(count=600, side=16, names=NAMES[:6]):
    images = make_images("set", count, side=side, classes=names)
    return make_evaluation(
        generated=images, real=images, training=images, quality=make_quality(classes=names)
    )


def test_the_choice_is_fixed_and_spread_over_the_class():
    first, second = (build_examples(make(), 1e6) for _ in range(2))
    assert first == second
    names = [image["name"] for image in first["rows"][1]["generated"]]
    assert names[0] == "generated 1"
    assert names[-1] == "generated 595"
    assert len(names) == 8


def test_images_fit_the_bytes_that_they_may_take():
    for budget in (20_000, 60_000, 200_000):
        examples = build_examples(make(), budget)
        images = [one for row in examples["rows"] for one in [*row["real"], *row["generated"]]]
        assert sum(len(image["source"]) for image in images) < 1.5 * budget
        assert images


def test_of_many_classes_the_worst_are_shown():
    examples = build_examples(make(names=NAMES), 1e7)
    assert [row["name"] for row in examples["rows"]] == [f"class {i}" for i in range(59, 9, -1)]
    assert (examples["by_worst"], examples["left_out"]) == (True, 10)


def test_pairs_take_a_part_of_the_bytes():
    shown, spent = build_pairs(make(), 1e6)
    assert [pair["images"][1]["name"] for pair in shown] == [
        f"training image {i}" for i in (11, 10, 9)
    ]
    assert spent > 0
    assert len(build_pairs(make(), 1)[0]) == 1
    assert build_pairs(make_evaluation(copies=None), 1e6) == ([], 0)
