"""Models on latents, whose random weights are large enough to matter."""

from dataclasses import replace

from iddm_cli.export.trained_model import LatentSpace, TrainedModel
from iddm_cli.records.latent_scale import LatentScale
from tests.export import one_layer
from tests.export.conftest import trained

AUTOENCODER = {
    "network": "autoencoder",
    "downsampling": 4,
    "latent_channels": 3,
    "base_channels": 8,
    "blocks_per_level": 1,
    "norm_groups": 4,
}
SCALE = LatentScale((0.1, -0.2, 0.0), (0.5, 0.3, 0.4))


def latent(classes=("cat", "dog"), **sampling: object) -> TrainedModel:
    """Return a model on the latents of an autoencoder, whose images are 16 x 32."""
    size = {"image_size": [16, 32]}
    autoencoder = replace(trained((), data=size, model=AUTOENCODER), run="codec", step=40)
    data = {**size, "encoder": "/home/somebody/codec", "latents": [3, 4]}
    model = trained(classes, data=data, sampling={"clip": False, **sampling})
    return replace(model, latents=LatentSpace(autoencoder, SCALE))


def one_layer_latent(classes=one_layer.CLASSES, **sampling: object) -> TrainedModel:
    """Return the same with a network that is traced in a moment."""
    return replace(latent(classes, **sampling), denoiser=one_layer.denoiser(0))
