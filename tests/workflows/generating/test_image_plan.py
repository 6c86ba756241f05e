"""The images to generate, in order."""

from iddm_cli.engine.image_generator import SampleSpec, specify_with_own_noise
from iddm_cli.workflows.generating.image_plan import plan_images


def test_every_class_has_the_same_indices_and_its_own_noise():
    own = [image.spec for image in plan_images([2, 0], [7, 12], own_noise=True)]
    assert own == [specify_with_own_noise(c, i) for c, i in ((2, 7), (2, 12), (0, 7), (0, 12))]
    assert len({spec.noise_item for spec in own}) == 4
    same = [image.spec for image in plan_images([2, 0], [7], own_noise=False)]
    assert same == [SampleSpec(2, 7), SampleSpec(0, 7)]
    assert {spec.noise_item for spec in same} == {7}
