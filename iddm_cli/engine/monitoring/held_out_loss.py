"""The held-out loss: the denoising loss on images that are never trained on.

The same images, noise and times at every evaluation, from (seed, purpose): two evaluations differ
by the weights alone, so that a small change of the loss is seen. As many training images get the
same noise and times. As long as both losses fall, the model learns what the images have in common;
where the training loss falls and the held-out loss rises, it memorizes. Models generate good
images after a time that hardly depends on the size of the training set, and copies after one that
grows in proportion to it (Bonnaire et al. 2025, arXiv:2505.17638): in between lies the step to
stop at.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.data.loader.batch_loader import normalize
from iddm_cli.data.loader.low_resolution import LowResolutionCondition
from iddm_cli.data.loader.stores import PixelStore
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.engine import randomness
from iddm_cli.engine.device import autocast
from iddm_cli.engine.monitoring.loss_plan import BANDS, MOST_IMAGES
from iddm_cli.profiles.evaluation_metrics import HELD_OUT_LOSS, TRAINING_LOSS

PURPOSE = "held-out-loss"


@dataclass(frozen=True)
class EvaluationImages:
    """Images on which a loss is computed.

    Attributes:
        store: Pixels of all images.
        labels: Class index of each, int64 [N], on the CPU.
        locate: Returns the coordinates of some crops, by index, [B, 2, H, W]; None: the network
            knows no positions.
    """

    store: PixelStore
    labels: Tensor
    locate: Callable[[Tensor], Tensor] | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class LossItem:
    """One forward pass: an image of a set, at a time in one band.

    Attributes:
        set_name: HELD_OUT_LOSS or TRAINING_LOSS.
        number: Its number in the subset, which decides noise and time.
        band: Its number from 0, from the least to the most noise.
    """

    set_name: str
    number: int
    band: int


class HeldOutLoss:
    """Computes the loss on held-out and on training images, at fixed noise and times.

    Args:
        held_out: The held-out images.
        training: The training images.
        size: Height and width of the training size; larger stored images are cropped centrally.
        seed: Decides the images, their noise and times.
        precision: fp32, bf16 or fp16, as in training.
        group: The processes that share the work.
        condition: Makes the condition channels of images; None: the network has none.
        bands: Equal parts of the diffusion time in each of which an image is evaluated; 1 where
            time does not matter.
    """

    def __init__(
        self,
        held_out: EvaluationImages,
        training: EvaluationImages,
        *,
        size: tuple[int, int],
        seed: int,
        precision: str,
        group: ProcessGroup = SINGLE_PROCESS,
        condition: LowResolutionCondition | None = None,
        bands: int = BANDS,
    ) -> None:
        self.sets = {HELD_OUT_LOSS: held_out, TRAINING_LOSS: training}
        self.size = size
        self.seed = seed
        self.precision = precision
        self.group = group
        self.condition = condition
        self.bands = bands
        self._subsets = {name: self._choose_images(name) for name in self.sets}

    def _choose_images(self, set_name: str) -> Tensor:
        """Return the indices of a set in a random order, int64 [min(N, MOST_IMAGES)]."""
        purpose = f"{PURPOSE}/{set_name}"
        count = len(self.sets[set_name])
        return randomness.permutation(self.seed, purpose, step=0, count=count)[:MOST_IMAGES]

    @property
    def available(self) -> int:
        """Number of images that both sets have."""
        return min(len(images) for images in self.sets.values())

    def close(self) -> None:
        """Release the pixels of the held-out images; those of the training have another owner."""
        self.sets[HELD_OUT_LOSS].store.close()

    def compute(self, denoiser: Denoiser, images: int, *, batch_size: int) -> dict[str, float]:
        """Return both losses and their bands, by the names that metrics.jsonl gives them.

        Collective: every process must call it, and all get the same values.

        Args:
            denoiser: The denoiser with its EMA weights, in evaluation mode.
            images: Number of images of each set.
            batch_size: Images of one forward pass; decides at most the last bits.
        """
        items = [
            LossItem(name, number, band)
            for name in self.sets
            for band in range(self.bands)
            for number in range(images)
        ]
        # Not one process after the other: a sharded network computes only where all processes do.
        share = self.group.shard_items(items)
        losses: list[float] = []
        for start in range(0, len(share), batch_size):
            batch = share[start : start + batch_size]
            losses += self._compute_losses(denoiser, batch, images).tolist()
        shares = self.group.gather_object(losses)
        values: dict[str, float] = {}
        if self.group.is_main:
            count = self.group.world_size
            ordered = [shares[i % count][i // count] for i in range(len(items))]
            values = average_losses(items, ordered)
        return self.group.broadcast(values)

    @torch.no_grad()
    def _compute_losses(self, denoiser: Denoiser, batch: Sequence[LossItem], images: int) -> Tensor:
        """Return the loss of each item, float32, on the CPU, [B]."""
        device = denoiser.schedule.alpha.device
        x, label = self._read(batch, device)
        t = self._choose_times(batch, images, len(denoiser.schedule)).to(device)
        noise = self._sample_noise(batch, tuple(x.shape[1:]), device)
        x = torch.cat([x, *self._make_conditions(batch, x)], dim=1)
        with autocast(device, self.precision):
            return denoiser.loss(x, t, noise, label).float().cpu()

    def _read(self, batch: Sequence[LossItem], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return images, float32 in [-1, 1] [B, C, H, W], and labels, int64 [B]."""
        parts, labels = [], []
        for source, index in self._find_images(batch):
            parts.append(normalize(source.store.read(index).to(device)))
            labels.append(source.labels[index])
        return crop_centre(torch.cat(parts), self.size), torch.cat(labels).to(device)

    def _find_images(self, batch: Sequence[LossItem]) -> list[tuple[EvaluationImages, Tensor]]:
        """Return the sets that a batch is from, in its order, and which images of each."""
        found = []
        for name, source in self.sets.items():
            numbers = [item.number for item in batch if item.set_name == name]
            if numbers:  # the items of a batch are in the order of the sets
                found.append((source, self._subsets[name][torch.tensor(numbers)]))
        return found

    def _choose_times(self, batch: Sequence[LossItem], images: int, timesteps: int) -> Tensor:
        """Return the time of each item, int64 [B], stratified inside its band.

        In a band, the images take its `images` equal parts in a random order, one each, as in
        Kingma et al. 2021 (arXiv:2107.00630, appendix I.1).
        """
        order = [
            randomness.permutation(self.seed, f"{PURPOSE}/order", step=band, count=images)
            for band in range(self.bands)
        ]
        part = torch.stack([order[item.band][item.number] for item in batch])
        numbers = torch.tensor([item.number for item in batch])
        bands = torch.tensor([item.band for item in batch])
        within = torch.stack(
            [
                randomness.uniform(self.seed, f"{PURPOSE}/time", items=numbers, step=band)
                for band in range(self.bands)
            ]
        )[bands, torch.arange(len(batch))]
        fraction = (bands + (part + within) / images) / self.bands
        return (fraction * timesteps).long().clamp(max=timesteps - 1)

    def _make_conditions(self, batch: Sequence[LossItem], x: Tensor) -> list[Tensor]:
        """Return the condition channels of all items, if any, [B, N, H, W]."""
        if self.condition is not None:  # of the same noise for both sets
            items = zip(x.split(1), batch, strict=True)
            parts = [self.condition(one, i.band, torch.tensor([i.number])) for one, i in items]
            return [torch.cat(parts)]
        found = self._find_images(batch)
        parts = [source.locate(index) for source, index in found if source.locate is not None]
        return [torch.cat(parts).to(x.device)] if parts else []

    def _sample_noise(
        self, batch: Sequence[LossItem], shape: tuple[int, ...], device: torch.device
    ) -> Tensor:
        """Return the noise of each item, [B, *shape]: the same for both sets."""
        noise = torch.empty(len(batch), *shape, device=device)
        for band in range(self.bands):
            rows = [row for row, item in enumerate(batch) if item.band == band]
            if rows:
                numbers = torch.tensor([batch[row].number for row in rows], device=device)
                noise[rows] = randomness.normal(
                    self.seed, f"{PURPOSE}/noise", items=numbers, step=band, shape=shape
                )
        return noise


def average_losses(items: Sequence[LossItem], losses: Sequence[float]) -> dict[str, float]:
    """Return the mean loss of each set, and of each of its bands if there are several, by name.

    Bands have equally many images, so the mean of a set is that of its bands: the expected loss
    over uniform times.
    """
    values: dict[str, float] = {}
    count = 1 + max(item.band for item in items)
    for name in (HELD_OUT_LOSS, TRAINING_LOSS):
        bands = [
            [loss for item, loss in zip(items, losses, strict=True)
             if (item.set_name, item.band) == (name, band)]
            for band in range(count)
        ]  # fmt: skip
        means = [sum(band) / len(band) for band in bands]
        values[name] = sum(means) / count
        if count > 1:
            values |= {f"{name}_band_{number}": mean for number, mean in enumerate(means, start=1)}
    return values


def crop_centre(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the centre of images, [B, C, *size]."""
    top, left = ((have - want) // 2 for have, want in zip(x.shape[2:], size, strict=True))
    return x[:, :, top : top + size[0], left : left + size[1]]
