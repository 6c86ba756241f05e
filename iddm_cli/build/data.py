"""The images of a profile: where their pixels are kept, and the loader that batches them."""

from functools import partial

import numpy as np
import torch

from iddm_cli.data.decoding.workers import choose_count
from iddm_cli.data.loader.augment import Augmentation
from iddm_cli.data.loader.balanced_order import BalancedOrder
from iddm_cli.data.loader.batch_loader import BatchLoader, ConditionFn, EpochOrder
from iddm_cli.data.loader.conditioned_augmentation import ConditionedAugmentation
from iddm_cli.data.loader.crop_positions import PositionCondition, build_blank_coordinates
from iddm_cli.data.loader.crop_store import CropStore, RandomCrops
from iddm_cli.data.loader.latent_store import LatentStore
from iddm_cli.data.loader.low_resolution import LowResolutionCondition
from iddm_cli.data.loader.stores import (
    FileStore,
    MemoryStore,
    PixelStore,
    StreamStore,
    pixel_dtype,
)
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.packs.store import read_shapes
from iddm_cli.data.sources.registry import open_dataset
from iddm_cli.data.sources.source import Source
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.engine import device as devices
from iddm_cli.engine import randomness
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.profiles.settings import CacheName, DataSettings

DEVICE_DATA_SHARE = 0.25
"""Packs up to this share of a GPU's free memory are kept there whole."""


def choose_cache(data: DataSettings, pack: Pack, device: torch.device) -> CacheName:
    """Return where the pixels are kept during training: device, memory, disk or off.

    Raises:
        DatasetError: data.cache names a memory that has no room for them.
    """
    if not pack.record.stored or data.cache == "off":
        return "off"
    if data.cache in ("memory", "device"):
        free = devices.free_memory(device if data.cache == "device" else torch.device("cpu"))
        if pack.pixels_bytes > free:
            raise DatasetError(
                f"the images take {pack.pixels_bytes / 1e9:.2f} GB, and {free / 1e9:.2f} GB of "
                f"memory are free for data.cache: {data.cache}",
                "Set data.cache to disk, which is as fast where the system has memory to spare.",
            )
        return data.cache
    on_gpu = device.type == "cuda"
    fits = on_gpu and pack.pixels_bytes < DEVICE_DATA_SHARE * devices.free_memory(device)
    return "device" if fits else "disk"


def build_store(
    profile: ResolvedProfile, pack: Pack, device: torch.device, group: ProcessGroup = SINGLE_PROCESS
) -> PixelStore:
    """Open the pixels of a pack, or of its held-out images, where the profile keeps them.

    Raises:
        DatasetError: data.cache names a memory that has no room for them.
    """
    data = profile.data
    cache = choose_cache(data, pack, device)
    if cache == "off":
        source = _open_source(data, pack)
        items = np.delete(np.arange(len(source)), pack.record.left_out)
        kept = (items if pack.rows is None else items[pack.rows]).tolist()
        workers = max(1, (data.workers or choose_count()) // group.local_world_size)
        return StreamStore(source, kept, pack.spec, workers=workers, timeout=data.timeout)
    shape = (pack.channels, pack.height, pack.width)
    if pack.tiles is not None:
        crops = open_crops(pack)
        return crops if cache == "disk" else crops.to(_choose_memory(cache, device))
    rows = None if pack.rows is None else torch.from_numpy(pack.rows)
    store = FileStore(pack.images_paths, shape, pixel_dtype(pack.values), rows)
    if cache == "disk":
        return store
    return MemoryStore(store.read_all().to(_choose_memory(cache, device)))


def build_training_store(
    profile: ResolvedProfile, pack: Pack, device: torch.device, group: ProcessGroup = SINGLE_PROCESS
) -> PixelStore:
    """Open what a network is trained on: the pixels of a pack, or its latents.

    Raises:
        DatasetError: data.cache names a memory that has no room for them.
    """
    latents = pack.latents
    if latents is None:
        return build_store(profile, pack, device, group)
    cache = choose_cache(profile.data, pack, device)
    rows = None if pack.rows is None else torch.from_numpy(pack.rows)
    store: PixelStore = FileStore(latents.path, latents.shape, torch.float16, rows)
    if cache in ("memory", "device"):
        pixels = store.read(torch.arange(len(store)))
        store = MemoryStore(pixels.to(_choose_memory(cache, device)))
    return LatentStore(store, latents.scale)


def open_crops(pack: Pack) -> CropStore:
    """Open the images of a pack that crops are taken of.

    Raises:
        DatasetError: Their file was truncated.
    """
    assert pack.rows is not None, "each tile has a row"
    assert pack.tiles is not None, "crops are taken of it"
    return CropStore(
        pack.images_path,
        read_shapes(pack.folder),
        shape=(pack.channels, pack.height, pack.width),
        dtype=pixel_dtype(pack.values),
        rows=pack.rows,
        tiles=pack.tiles,
    )


def _choose_memory(cache: CacheName, device: torch.device) -> torch.device:
    """Return the device in whose memory all pixels are kept."""
    return device if cache == "device" else torch.device("cpu")


def _open_source(data: DataSettings, pack: Pack) -> Source:
    """Open the dataset, or the part of it that a pack holds.

    Raises:
        DatasetError: It has no such part any more.
    """
    source = open_dataset(data, require_labels=False)
    if not pack.part:
        return source
    part = source.held_out
    if part is None or part.name != pack.part:
        raise DatasetError(
            f"{source.name} has no part {pack.part} any more",
            "Restore its folder, or train with data.held_out: 0.",
        )
    return part.source


def build_loader(
    profile: ResolvedProfile, pack: Pack, device: torch.device, group: ProcessGroup = SINGLE_PROCESS
) -> BatchLoader:
    """Build the loader of a pack's batches for training.

    Raises:
        DatasetError: data.cache names a memory that has no room for the images.
    """
    seed, data = profile.training.seed, profile.data
    changes = data.horizontal_flip or data.random_crop < 1 or data.rotation > 0
    uniform, store = partial(_uniform, seed), build_training_store(profile, pack, device, group)
    return BatchLoader(
        store,
        torch.from_numpy(pack.labels),
        batch_size=profile.training.batch_size,
        order=_build_order(profile, pack),
        augment=Augmentation(data, uniform) if changes else None,
        read=RandomCrops(store, uniform).read if isinstance(store, CropStore) else None,
        device=device,
    )


def build_conditioned_augmentation(profile: ResolvedProfile) -> ConditionedAugmentation | None:
    """Build what changes images and describes it to the network; None where nothing does."""
    probability, seed = profile.data.augment_probability, profile.training.seed

    def uniforms(purpose: str, step: int, slots: torch.Tensor, count: int) -> torch.Tensor:
        return randomness.uniforms(seed, purpose, items=slots, step=step, count=count)

    return ConditionedAugmentation(probability, uniforms) if probability else None


def build_low_resolution(
    profile: ResolvedProfile, prefix: str = ""
) -> LowResolutionCondition | None:
    """Build what conditions a network on smaller images; None where it does not upscale.

    Args:
        profile: The profile.
        prefix: Beginning of the purposes of its random numbers.
    """
    model, seed = profile.model, profile.training.seed
    if not model.is_upscaler:
        return None

    def uniform(purpose: str, step: int, slots: torch.Tensor) -> torch.Tensor:
        return _uniform(seed, prefix + purpose, step, slots)

    def normal(
        purpose: str, step: int, slots: torch.Tensor, shape: tuple[int, ...]
    ) -> torch.Tensor:
        return randomness.normal(seed, prefix + purpose, items=slots, step=step, shape=shape)

    return LowResolutionCondition(model.upscale_factor, model.upscale_noise, uniform, normal)


def build_condition(profile: ResolvedProfile, batches: BatchLoader) -> ConditionFn | None:
    """Build what makes the condition channels of training images; None where there are none.

    Args:
        profile: The profile.
        batches: The loader of the images.
    """
    if not profile.data.crop_position:
        return build_low_resolution(profile)
    if not isinstance(batches.store, CropStore):  # images of noise, which a benchmark times
        return build_blank_coordinates
    uniform = partial(_uniform, profile.training.seed)
    flips = Augmentation(profile.data, uniform).choose_flips
    return PositionCondition(
        RandomCrops(batches.store, uniform),
        batches.indices,
        flips if profile.data.horizontal_flip else None,
    )


def _build_order(profile: ResolvedProfile, pack: Pack) -> EpochOrder:
    def permute(purpose: str, number: int, count: int) -> torch.Tensor:
        return randomness.permutation(profile.training.seed, purpose, step=number, count=count)

    if profile.data.balance > 0:
        return BalancedOrder(torch.from_numpy(pack.labels), profile.data.balance, permute)
    return lambda epoch: permute("order", epoch, pack.count)


def _uniform(seed: int, purpose: str, step: int, slots: torch.Tensor) -> torch.Tensor:
    return randomness.uniform(seed, purpose, items=slots, step=step)
