"""The fidelity of a set of images: PSNR and SSIM of each, and where they are lowest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from iddm_cli.evaluation.fidelity import compute_psnr, compute_ssim
from iddm_cli.evaluation.numbers import Number


@dataclass(frozen=True)
class PairFidelity:
    """How close one image is to its reference.

    Attributes:
        name: Name of the image.
        psnr: Peak signal-to-noise ratio in decibels; infinite where both are equal.
        ssim: Structural similarity, at most 1.
    """

    name: str
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Fidelity:
    """How close images are to their references.

    Attributes:
        references: What the references are called.
        pairs: Each image that has a reference, at least one.
    """

    references: str
    pairs: tuple[PairFidelity, ...]

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.pairs)

    @property
    def equal(self) -> int:
        """Number of images that equal their references, whose PSNR is infinite."""
        return sum(math.isinf(pair.psnr) for pair in self.pairs)

    @cached_property
    def numbers(self) -> dict[str, Number]:
        """The means by name, psnr and ssim; of the PSNR, over images that differ."""
        finite = [pair.psnr for pair in self.pairs if math.isfinite(pair.psnr)]
        psnr = math.fsum(finite) / len(finite) if finite else math.nan
        ssim = math.fsum(pair.ssim for pair in self.pairs) / self.count
        return {
            "psnr": Number(psnr, count=len(finite)),
            "ssim": Number(ssim, count=self.count),
        }

    @cached_property
    def lowest(self) -> dict[str, PairFidelity]:
        """The image with the lowest value of each, by name."""
        return {
            "psnr": min(self.pairs, key=lambda pair: (pair.psnr, pair.name)),
            "ssim": min(self.pairs, key=lambda pair: (pair.ssim, pair.name)),
        }

    def to_json(self) -> dict[str, object]:
        """Return the numbers as --json prints them, each with the image whose value is lowest."""
        content: dict[str, object] = {"references": self.references, "equal": self.equal}
        for key, number in self.numbers.items():
            pair = self.lowest[key]
            lowest = Number(getattr(pair, key)).to_json()["value"]
            content[key] = {**number.to_json(), "lowest": lowest, "lowest_image": pair.name}
        return content


def measure_batch(names: Sequence[str], images: Tensor, references: Tensor) -> list[PairFidelity]:
    """Return the fidelity of each image of a batch.

    Args:
        names: Their names.
        images: Images in [-1, 1], [B, C, H, W].
        references: What each one should be, of the same shape.
    """
    psnr, ssim = compute_psnr(images, references), compute_ssim(images, references)
    rows = zip(names, psnr.tolist(), ssim.tolist(), strict=True)
    return [PairFidelity(*row) for row in rows]
