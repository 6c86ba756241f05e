"""Encoders and decoders of autoencoder runs, and the latents of packs."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from iddm_cli.build.data import build_store
from iddm_cli.build.models import load_denoiser
from iddm_cli.checkpoints.weights_source import WeightsSource
from iddm_cli.data.loader.batch_loader import normalize
from iddm_cli.data.packs.latents.latent_pack import (
    NUMBER_BYTES,
    LatentPack,
    find_or_write_latents,
)
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.engine.sampling.latent_decoder import LatentDecoder
from iddm_cli.networks.autoencoding.autoencoder import Autoencoder
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.records.latent_scale import LatentScale

AT_ONCE = 8
"""Images that are encoded at once."""

LEAST_DEVIATION = 1e-4
"""A channel that is almost constant is not blown up to noise."""


def load_autoencoder(
    profile: ResolvedProfile, source: WeightsSource, device: torch.device
) -> Autoencoder:
    """Load the averaged weights of an autoencoder.

    Args:
        profile: Its profile.
        source: The checkpoint or exported file.
        device: Where it will compute.

    Raises:
        CheckpointError: The source is damaged, or belongs to another network.
    """
    network = load_denoiser(profile, 0, source, "average", device).backbone
    assert isinstance(network, Autoencoder), "the profile is that of an autoencoder"
    return network


def load_decoder(
    profile: ResolvedProfile, source: WeightsSource, scale: LatentScale, device: torch.device
) -> LatentDecoder:
    """Load the decoder of latents of a scale.

    Raises:
        CheckpointError: The source is damaged, or belongs to another network.
    """
    return LatentDecoder(load_autoencoder(profile, source, device), scale, profile.data.channels)


def pack_latents(
    profile: ResolvedProfile,
    pack: Pack,
    autoencoder: Autoencoder,
    *,
    scale: LatentScale | None = None,
    progress: ProgressCallback = no_progress,
) -> Pack:
    """Return a pack with the latents of its images, and of its held-out images.

    They are encoded once for each encoder, and kept beside the pixels.

    Args:
        profile: The profile.
        pack: The dataset.
        autoencoder: The autoencoder, on the device that encodes.
        scale: The scale that a run has recorded; None measures that of the training images.
        progress: Called after every block of images.

    Raises:
        DatasetError: The images can no longer be read, or the cache cannot be written.
    """
    path, shape = _encode_pack(profile, pack, autoencoder, progress)
    scale = scale or measure_scale(path, shape, pack.rows)
    held_out = pack.held_out
    if held_out is not None:
        own = _encode_pack(profile, held_out, autoencoder, progress)
        held_out = replace(held_out, latents=LatentPack(*own, scale))
    return replace(pack, latents=LatentPack(path, shape, scale), held_out=held_out)


def _encode_pack(
    profile: ResolvedProfile, pack: Pack, autoencoder: Autoencoder, progress: ProgressCallback
) -> tuple[Path, tuple[int, int, int]]:
    """Return the file of the latents of all rows of a stored pack, and the shape of each."""
    channels, factor = autoencoder.latent_channels, autoencoder.downsampling
    shape = (channels, pack.height // factor, pack.width // factor)
    path = find_or_write_latents(
        pack.folder,
        digest_encoder(autoencoder),
        pack.record.count * math.prod(shape) * NUMBER_BYTES,
        partial(_encode_images, profile, pack, autoencoder, progress),
        progress,
    )
    return path, shape


@torch.inference_mode()
def _encode_images(
    profile: ResolvedProfile, pack: Pack, autoencoder: Autoencoder, progress: ProgressCallback
) -> Iterator[bytes]:
    """Yield the latents of all rows of a stored pack, as the bytes of float16."""
    cache = "disk" if pack.record.stored else "off"  # each image is read once
    data = profile.data.model_copy(update={"cache": cache})
    profile = profile.model_copy(update={"data": data})
    device = autoencoder.encoder.conv_in.weight.device
    whole, total = replace(pack, rows=None), pack.record.count
    with closing(build_store(profile, whole, torch.device("cpu"))) as store:
        for start in range(0, total, AT_ONCE):
            index = torch.arange(start, min(start + AT_ONCE, total))
            x = normalize(store.read(index)).to(device)
            yield autoencoder.encode(x).half().cpu().contiguous().numpy().tobytes()
            progress("encoding images", start + len(index), total)


def digest_encoder(autoencoder: Autoencoder) -> str:
    """Return the SHA-256 of the weights of an encoder, whichever file they come from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(autoencoder.encoder.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def measure_scale(path: Path, shape: tuple[int, int, int], rows: np.ndarray | None) -> LatentScale:
    """Return mean and deviation of each channel of some latents.

    Args:
        path: The file of the latents of a stored pack.
        shape: Channels, height and width of a latent.
        rows: Those that are trained on, int64 [N]; None: all.
    """
    channels, height, width = shape
    count = path.stat().st_size // (math.prod(shape) * NUMBER_BYTES)
    numbers = np.memmap(path, np.float16, "r", shape=(count, *shape))
    chosen = np.arange(count) if rows is None else rows
    totals, squares = np.zeros(channels), np.zeros(channels)
    for start in range(0, len(chosen), 1024):
        block = numbers[chosen[start : start + 1024]].astype(np.float64)
        totals += block.sum((0, 2, 3))
        squares += np.square(block).sum((0, 2, 3))
    each = len(chosen) * height * width
    mean = totals / each
    deviation = np.sqrt(np.maximum(squares / each - mean**2, LEAST_DEVIATION**2))
    return LatentScale(tuple(mean.tolist()), tuple(deviation.tolist()))
