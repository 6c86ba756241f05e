"""Arms: as many as asked for, and none that there are no images for."""

from iddm_cli.evaluation.usefulness.arms import Arm, build_arms


def test_the_arms_of_the_comparison():
    assert build_arms() == (
        Arm("real only"),
        Arm("real, augmented", augment=True),
        Arm("real, 3 times each", real=3),
        Arm("real + generated 0.25 : 1", generated=0.25, augment=True),
        Arm("real + generated 0.5 : 1", generated=0.5, augment=True),
        Arm("real + generated 1 : 1", generated=1, augment=True),
        Arm("real + generated 2 : 1", generated=2, augment=True),
        Arm("generated only", real=0, generated=2, augment=True),
    )


def test_a_ratio_that_is_not_reached_is_named_by_what_there_is():
    arms = build_arms((0.5, 1, 2), available=0.75)
    assert [arm.generated for arm in arms if arm.real == 1 and arm.generated] == [0.5, 0.75]
    assert arms[4].name == "real + generated 0.75 : 1"


def test_arms_without_generated_images_do_not_depend_on_how_many_there_are():
    """Otherwise they would be trained again for every generated set."""
    assert build_arms(available=0.1)[:3] == build_arms()[:3]
