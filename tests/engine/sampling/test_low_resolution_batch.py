import torch

from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.engine.sampling.low_resolution_batch import LowResolutionBatch, make_blank_batch


def test_the_network_sees_the_condition_after_the_image():
    condition = torch.rand(2, 3, 4, 4)
    seen = []

    def denoise(x_t, t, label):
        seen.append((x_t, t, label))
        return x_t[:, :1]

    x_t, t, label = torch.rand(2, 1, 4, 4), torch.tensor([5, 5]), torch.tensor([0, 1])
    estimate = LowResolutionBatch(condition).keep(denoise)(x_t, t, label)
    assert torch.equal(estimate, x_t)
    assert torch.equal(seen[0][0], torch.cat([x_t, condition], 1))
    assert seen[0][1] is t and seen[0][2] is label


def test_sampling_starts_from_noise_and_pixels_stay_as_they_are():
    batch = make_blank_batch(2, 3, (4, 6), torch.device("cpu"))
    assert batch.condition.shape == (2, 3, 4, 6) and not batch.condition.any()
    noise = torch.rand(2, 1, 4, 6)
    assert batch.begin(noise, cosine_schedule(10), 9) is noise
    assert batch.paste(noise) is noise
