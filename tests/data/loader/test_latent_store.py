"""Latents in the place of pixels."""

import torch

from iddm_cli.data.loader.batch_loader import normalize
from iddm_cli.data.loader.latent_store import LatentStore
from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.records.latent_scale import LatentScale


def test_latents_have_mean_zero_and_deviation_one_and_are_not_changed_again():
    raw = torch.randn(50, 2, 4, 4) * torch.tensor([0.5, 0.1]).view(-1, 1, 1) + 0.25
    raw = raw.half()
    flat = raw.double().transpose(0, 1).flatten(1)
    scale = LatentScale(tuple(flat.mean(1).tolist()), tuple(flat.std(1, correction=0).tolist()))
    store = LatentStore(MemoryStore(raw), scale)
    found = store.read(torch.arange(50))
    assert len(store) == 50
    assert found.dtype == torch.float32
    channels = found.transpose(0, 1).flatten(1)
    assert channels.mean(1).abs().max() < 1e-5
    assert (channels.std(1, correction=0) - 1).abs().max() < 1e-4
    assert torch.equal(normalize(found), found)
    assert torch.equal(store.read(torch.tensor([7])), found[7:8])
