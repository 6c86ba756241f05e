"""Reconstructions of a dataset's images: their quality, and a grid to look at."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from iddm_cli import image_files
from iddm_cli.build.data import build_store
from iddm_cli.build.image_sets import choose_images
from iddm_cli.data.loader.batch_loader import normalize
from iddm_cli.data.packs.pack import Pack
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.engine.image_generator import to_image, to_pixels
from iddm_cli.engine.monitoring.held_out_loss import crop_centre
from iddm_cli.evaluation.reconstruction_quality import (
    ReconstructionQuality,
    measure_reconstruction,
)
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.runs.run import Run

COLUMNS = 8
"""Images side by side in a grid."""


class ReconstructionEvaluator:
    """Measures how well an autoencoder reconstructs the held-out images; without any, all.

    Args:
        profile: The profile.
        pack: The dataset.
        group: The processes that train together.
    """

    def __init__(
        self, profile: ResolvedProfile, pack: Pack, group: ProcessGroup = SINGLE_PROCESS
    ) -> None:
        self.profile = profile
        self.pack = pack.held_out or pack
        self.group = group

    def __call__(self, ema: Denoiser, step: int) -> dict[str, float]:  # noqa: ARG002
        """Return the numbers by name; only the main process gets them.

        Collective: every process must call it, and reconstructs its share of the images.
        """
        quality = self.measure(ema)
        return quality.values if quality else {}

    def measure(self, denoiser: Denoiser, count: int | None = None) -> ReconstructionQuality | None:
        """Return the quality of reconstructions; only the main process gets it.

        Collective: every process must call it.

        Args:
            denoiser: The autoencoder, a `Reconstructor`.
            count: Number of images at most; None: evaluation.count.
        """
        index = choose_images(self.pack.count, count or self.profile.evaluation.count)
        originals = read_originals(self.profile, self.pack, index)
        found = reconstruct(denoiser, originals, self.profile.sampling.batch_size, self.group)
        if found is None:
            return None
        names = self.pack.names
        return measure_reconstruction(found, originals, [names[i] for i in index.tolist()])


def read_originals(profile: ResolvedProfile, pack: Pack, index: Tensor) -> Tensor:
    """Return some images of a pack at the training size, float32 in [-1, 1], [N, C, H, W]."""
    with closing(build_store(profile, pack, torch.device("cpu"))) as store:
        return crop_centre(normalize(store.read(index)), profile.data.size)


def reconstruct(
    denoiser: Denoiser, originals: Tensor, batch_size: int, group: ProcessGroup = SINGLE_PROCESS
) -> Tensor | None:
    """Return reconstructions, on the CPU, [N, C, H, W]; only the main process gets them.

    Collective: every process must call it.
    """
    share = group.shard_items(list(originals))
    parts = list(_reconstruct_batches(denoiser, share, batch_size))
    gathered = group.gather_items([one for part in parts for one in part], len(originals))
    return torch.stack(gathered) if group.is_main else None


@torch.no_grad()
def _reconstruct_batches(
    denoiser: Denoiser, images: Sequence[Tensor], batch_size: int
) -> Iterator[Tensor]:
    device = denoiser.schedule.alpha.device
    for start in range(0, len(images), batch_size):
        x = torch.stack(list(images[start : start + batch_size])).to(device)
        nothing = torch.zeros(len(x), dtype=torch.int64, device=device)
        yield denoiser(x, nothing, nothing).cpu()


def save_reconstruction_grid(
    profile: ResolvedProfile, pack: Pack, run: Run, group: ProcessGroup, ema: Denoiser, step: int
) -> Path | None:
    """Write a grid of held-out images, or training images, above their reconstructions.

    Collective: every process must call it; the main process writes the file.
    """
    shown = pack.held_out or pack
    index = choose_images(shown.count, profile.training.sample_count)
    originals = read_originals(profile, shown, index)
    found = reconstruct(ema, originals, profile.sampling.batch_size, group)
    if found is None:
        return None
    rows = []
    for start in range(0, len(index), COLUMNS):
        for name, images in (("original", originals), ("decoded", found)):
            pixels = to_pixels(images[start : start + COLUMNS]).permute(0, 2, 3, 1)
            rows.append((name, [to_image(one) for one in pixels]))
    path = run.samples_dir / f"step-{step:08d}.png"
    image_files.save_png(image_files.make_grid(rows), path)
    return path
