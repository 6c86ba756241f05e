import torch

from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.engine.sampling.image_condition import ImageCondition
from iddm_cli.engine.sampling.sample_noise import PURPOSE


def test_a_batch_of_which_nothing_is_known_is_generated_from_noise_alone():
    nothing, noise = ImageCondition(), torch.rand(2, 1, 4, 6)
    assert nothing.begin(noise, cosine_schedule(10), 9) is noise
    assert nothing.paste(noise) is noise
    assert nothing.keep(test_a_batch_of_which_nothing_is_known_is_generated_from_noise_alone) is (
        test_a_batch_of_which_nothing_is_known_is_generated_from_noise_alone
    )
    assert nothing.find_result() is None
    assert nothing.purpose == PURPOSE
