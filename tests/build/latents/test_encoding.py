"""The latents of a pack."""

import numpy as np
import pytest
import torch

from iddm_cli.build.data import build_loader, build_training_store
from iddm_cli.build.latents.encoding import digest_encoder, pack_latents
from iddm_cli.build.latents.reconstructions import read_originals
from iddm_cli.build.networks import build_denoiser
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.registry import open_dataset
from iddm_cli.profiles.profile import Profile
from iddm_cli.records.latent_scale import LatentScale
from tests.e2e.conftest import draw_folder

SMALL = {"network": "autoencoder", "downsampling": 4, "base_channels": 8, "norm_groups": 4}
CPU = torch.device("cpu")


@pytest.fixture
def encoded(tmp_path, monkeypatch):
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    folder = draw_folder(tmp_path / "images", {"": 12})
    data = {"path": str(folder), "image_size": 16, "held_out": 0.25, "workers": 1}
    profile = Profile.model_validate({"data": data, "model": SMALL})
    pack = build_pack(open_dataset(profile.data), profile.data)
    resolved = profile.resolve(pack.channels)
    autoencoder = build_denoiser(resolved, 0).backbone.eval()
    latent = Profile.model_validate({"data": {**data, "encoder": "x", "latents": [4, 4]}})
    found = pack_latents(resolved, pack, autoencoder)
    return latent.resolve(pack.channels), found, autoencoder


def test_what_is_trained_on_are_the_latents_of_the_images(encoded):
    profile, pack, autoencoder = encoded
    scale = pack.latents.scale
    mean, deviation = (
        torch.tensor(numbers).view(-1, 1, 1) for numbers in (scale.mean, scale.deviation)
    )
    for part in (pack, pack.held_out):
        assert part.latents.scale == scale
        index = torch.arange(part.count)
        store = build_training_store(profile, part, CPU)
        expected = (autoencoder.encode(read_originals(profile, part, index)) - mean) / deviation
        assert torch.allclose(store.read(index), expected, atol=0.02)  # float16 on the disk
        store.close()
    x, _ = build_loader(profile, pack, CPU).load_batch(0, torch.arange(3))
    assert x.shape == (3, *profile.input_shape) == (3, 4, 4, 4)


def test_the_scale_is_that_of_the_training_images(encoded):
    profile, pack, _ = encoded
    store = build_training_store(profile, pack, CPU)
    channels = store.read(torch.arange(pack.count)).transpose(0, 1).flatten(1)
    assert channels.mean(1).abs().max() < 1e-3
    assert (channels.std(1, correction=0) - 1).abs().max() < 1e-3


def test_a_recorded_scale_is_kept_and_nothing_is_encoded_again(encoded):
    profile, pack, autoencoder = encoded
    content = pack.latents.path.read_bytes()
    pack.latents.path.write_bytes(bytes(len(content)))
    scale = LatentScale((0.0,) * 4, (2.0,) * 4)
    again = pack_latents(profile, pack, autoencoder, scale=scale)
    assert again.latents.scale == scale
    assert not any(again.latents.path.read_bytes())
    assert pack.pixels_bytes == pack.count * 4 * 4 * 4 * np.float16().itemsize


def test_the_digest_is_that_of_the_weights(encoded):
    _, _, autoencoder = encoded
    before = digest_encoder(autoencoder)
    with torch.no_grad():
        autoencoder.decoder.conv_in.weight += 1
        assert digest_encoder(autoencoder) == before
        autoencoder.encoder.conv_in.weight[0, 0, 0, 0] += 1
    assert digest_encoder(autoencoder) != before
