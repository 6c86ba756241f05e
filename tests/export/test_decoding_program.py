"""The decoder as a module."""

import torch

from iddm_cli.export.decoding_program import DecodingProgram
from tests.export.latent_models import latent


def test_it_decodes_a_batch_as_one_image_after_the_other():
    model = latent()
    z = 2 * torch.randn(5, *model.diffused_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = DecodingProgram(model.decoder)(z)
    assert found.shape == (5, *model.shape) == (5, 3, 16, 32)
    assert torch.allclose(found, model.decoder.decode(z), atol=1e-5)
