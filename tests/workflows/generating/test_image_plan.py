"""The images to generate, in order."""

from iddm_cli.engine.image_generator import SampleSpec, specify_with_own_noise
from iddm_cli.engine.sampling.sample_noise import NoisePath, own_noise_index
from iddm_cli.workflows.generating.image_plan import (
    plan_images,
    plan_interpolation,
    plan_variations,
)
from iddm_cli.workflows.generating.number_lists import Interpolation


def test_every_class_has_the_same_indices_and_its_own_noise():
    own = [image.spec for image in plan_images([2, 0], [7, 12], own_noise=True)]
    assert own == [specify_with_own_noise(c, i) for c, i in ((2, 7), (2, 12), (0, 7), (0, 12))]
    assert len({spec.noise_item for spec in own}) == 4
    same = [image.spec for image in plan_images([2, 0], [7], own_noise=False)]
    assert same == [SampleSpec(2, 7), SampleSpec(0, 7)]
    assert {spec.noise_item for spec in same} == {7}


def test_a_path_leads_between_the_noises_of_two_images_of_each_class():
    images = plan_interpolation([1], Interpolation(3, 8, 3), own_noise=True)
    ends = own_noise_index(1, 3), own_noise_index(1, 8)
    assert [image.spec.noise for image in images] == [NoisePath(*ends, p) for p in (0, 0.5, 1)]
    assert [image.spec.index for image in images] == [0, 1, 2]
    (first, _) = plan_interpolation([1], Interpolation(3, 8, 2), own_noise=False)
    assert first.spec.noise == NoisePath(3, 8, 0)


def test_no_two_variations_of_a_class_share_their_noise():
    names, labels = ("a/x.png", "b/y.png", "a/z.png"), ([0], [1], [0])
    images = plan_variations(names, labels, range(2), own_noise=True)
    found = [(i.stem, i.spec.label, i.spec.index, i.spec.source) for i in images]
    first = [("x", 0, 0, 0), ("x", 0, 1, 0), ("z", 0, 2, 2), ("z", 0, 3, 2)]
    assert found == [*first, ("y", 1, 0, 1), ("y", 1, 1, 1)]
    assert len({image.spec.noise_item for image in images}) == 6
    assert images[2].notes == {"from": "a/z.png"}


def test_an_image_may_have_variations_of_several_classes_and_chosen_indices():
    images = plan_variations(("x.png",), ([2, 0],), [7, 9], own_noise=False)
    assert [(i.spec.label, i.spec.index) for i in images] == [(0, 7), (0, 9), (2, 7), (2, 9)]
