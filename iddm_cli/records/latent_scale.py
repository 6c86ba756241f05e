"""The scale of latents: what brings each of their channels to mean 0 and deviation 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real


@dataclass(frozen=True)
class LatentScale:
    """Mean and standard deviation of each channel of the latents of the training images.

    A noise schedule is made for values of deviation 1, as latent diffusion rescales its latents
    (Rombach et al. 2022, arXiv:2112.10752, appendix G).

    Attributes:
        mean: Mean of each channel.
        deviation: Standard deviation of each channel, above 0.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def to_json(self) -> dict[str, object]:
        """Return the entry `latents` of dataset.json."""
        return {"mean": list(self.mean), "deviation": list(self.deviation)}


def parse_latent_scale(document: Mapping[str, object]) -> LatentScale:
    """Return the scale that dataset.json records.

    Raises:
        ValueError: It records none, or the entry is damaged; the message names its key.
    """
    entry = document.get("latents")
    if not isinstance(entry, dict):
        raise ValueError("latents")
    mean, deviation = (_parse_numbers(entry, key) for key in ("mean", "deviation"))
    if len(mean) != len(deviation) or min(deviation) <= 0:
        raise ValueError("latents.deviation")
    return LatentScale(mean, deviation)


def _parse_numbers(entry: Mapping[str, object], key: str) -> tuple[float, ...]:
    numbers = entry.get(key)
    if not isinstance(numbers, list) or not numbers:
        raise ValueError(f"latents.{key}")
    if not all(isinstance(number, Real) and not isinstance(number, bool) for number in numbers):
        raise ValueError(f"latents.{key}")
    return tuple(float(number) for number in numbers)
