"""Which settings are fastest by what was measured, and what each of them changes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from iddm_cli.build.speed.variants import Kind, Variant

LEAST_GAIN = 1.05
"""A setting is recommended if it is at least this much faster: less may be chance."""


@dataclass(frozen=True)
class Recommendation:
    """A setting that makes a profile faster on this machine.

    Attributes:
        setting: The setting, such as training.micro_batch=32.
        gain: How many times as fast it is.
        changes: What else it changes.
    """

    setting: str
    gain: float
    changes: str


class Measurements:
    """What was measured of a profile.

    Args:
        variants: The variants, each computed at least once.
        batch_size: Images of an update of the profile.
        sampling_batch: Images that the profile generates at once.
        precision: The precision that the profile trains in here.
    """

    def __init__(
        self,
        variants: Sequence[Variant],
        *,
        batch_size: int,
        sampling_batch: int,
        precision: str,
    ) -> None:
        self.variants = [variant for variant in variants if variant.is_finished]
        self.batch_size = batch_size
        self.sampling_batch = sampling_batch
        self.precision = precision

    def select(self, kind: Kind, precision: str) -> list[Variant]:
        """Return the variants of one kind and precision, by ascending numbers of images.

        Those that ran only once are left out: the first run also loads code.
        """
        found = [v for v in self.variants if (v.kind, v.precision) == (kind, precision)]
        found = [variant for variant in found if variant.seconds]
        return sorted(found, key=lambda variant: variant.images)

    def step_seconds(self, variant: Variant) -> float:
        """Return the seconds of an update of the profile's batch in micro-batches like a variant.

        Each takes the variant's time without that of optimizer and EMA, which run once.
        """
        once = self._optimizer_seconds(variant.precision)
        return self.batch_size / variant.images * max(variant.median - once, 0.0) + once

    def _optimizer_seconds(self, precision: str) -> float:
        gradients = self.select("gradients", precision)[:1]
        updates = {v.images: v.median for v in self.select("training", precision)}
        differences = [updates[v.images] - v.median for v in gradients if v.images in updates]
        return max([0.0, *differences])

    def recommend(self) -> list[Recommendation]:
        """Return the settings that are faster than the profile's own."""
        return [*self._recommend_training(), *self._recommend_sampling()]

    def _recommend_training(self) -> list[Recommendation]:
        own = self._best_size(self.precision)
        if own is None:
            return []
        found = []
        rates = {v.precision: self._best_size(v.precision) for v in self.variants}
        best = min((v for v in rates.values() if v), key=self.step_seconds)
        if self.step_seconds(own) > LEAST_GAIN * self.step_seconds(best):
            gain = self.step_seconds(own) / self.step_seconds(best)
            found.append(
                Recommendation(
                    f"runtime.precision={best.precision}",
                    gain,
                    "the weights: they are computed with other rounding",
                )
            )
            own = best
        whole = max(
            (v for v in self.select("training", own.precision) if v.images <= self.batch_size),
            key=lambda variant: variant.images,
        )
        if own.images < whole.images:
            gain = self.step_seconds(whole) / self.step_seconds(own)
            found.append(
                Recommendation(
                    f"training.micro_batch={own.images}", gain, "no more than the last bits"
                )
            )
        return found

    def _best_size(self, precision: str) -> Variant | None:
        """Return the fastest micro-batch; the largest unless another is clearly faster."""
        sizes = [v for v in self.select("training", precision) if v.images <= self.batch_size]
        if not sizes:
            return None
        best = min(sizes, key=self.step_seconds)
        gain = self.step_seconds(sizes[-1]) / self.step_seconds(best)
        return best if gain >= LEAST_GAIN else sizes[-1]

    def _recommend_sampling(self) -> list[Recommendation]:
        sizes = [v for v in self.variants if v.kind == "sampling" and v.seconds]
        if not sizes:
            return []
        precision = max(sizes, key=lambda v: v.images_per_second).precision
        sizes = self.select("sampling", precision)
        own = min(sizes, key=lambda v: abs(math.log(v.images / self.sampling_batch)))
        best = max(sizes, key=lambda v: v.images_per_second)
        gain = best.images_per_second / own.images_per_second
        if gain < LEAST_GAIN:
            return []
        return [Recommendation(f"sampling.batch_size={best.images}", gain, "nothing")]
