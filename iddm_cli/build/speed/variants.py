"""Variants of a computation, timed in turn: numbers of images, in bounded time."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["training", "sampling", "gradients"]
"""An update, an image, or an update without the optimizer and EMA."""

Clock = Callable[[], float]

GROWING_SHARE = 0.5
"""Share of the time in which all variants must have run once."""

LONGEST_SHARE = 1 / 12
"""Share of the time that a single run may take."""


@dataclass
class Variant:
    """One of the computations that are compared.

    Attributes:
        kind: What is computed.
        precision: fp32, bf16 or fp16.
        images: How many images at once.
        run: Computes it once, and waits for the device.
        factor: How many times as much work an image is as what `run` does of it.
        memory: Bytes that it takes at most.
        memory_source: "measured" or "estimated".
        first: Seconds of the first run, which also loads code.
        seconds: Seconds of the runs after it.
    """

    kind: Kind
    precision: str
    images: int
    run: Callable[[], object]
    factor: float = 1.0
    memory: int = 0
    memory_source: str = "estimated"
    first: float = 0.0
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median of the seconds; of the first run if there was no time for another."""
        return statistics.median(self.seconds or [self.first]) * self.factor

    @property
    def images_per_second(self) -> float:
        """Images per second."""
        return self.images / self.median

    @property
    def is_finished(self) -> bool:
        """Whether it was computed at all."""
        return self.first > 0


Grow = Callable[[int], list[Variant]]
"""`grow(images)` returns the variants with so many images that fit the memory."""


class VariantTimer:
    """Times variants in turn, so that a busy moment of the machine slows all of them alike.

    Args:
        grow: Returns the variants of a number of images.
        sizes: Numbers of images, ascending.
        limit: Seconds that this may take.
        clock: The time.

    Attributes:
        variants: What was started so far.
    """

    def __init__(
        self,
        grow: Grow,
        sizes: list[int],
        limit: float,
        *,
        clock: Clock = time.perf_counter,
    ) -> None:
        self.grow = grow
        self.sizes = sizes
        self.limit = limit
        self.clock = clock
        self.variants: list[Variant] = []
        self.left_out: set[int] = set()

    def run(self) -> Iterator[float]:
        """Time the variants; yield the share of the time that has passed, after each run."""
        started = self.clock()

        def passed() -> float:
            return (self.clock() - started) / self.limit

        slow: set[tuple[str, str]] = set()
        for images in self.sizes:
            for variant in self.grow(images):
                is_slow = (variant.kind, variant.precision) in slow or passed() > GROWING_SHARE
                if is_slow and images > self.sizes[0]:  # the smallest are always computed
                    self.left_out.add(images)
                    continue
                self.variants.append(variant)
                variant.first = self._time(variant)
                if 2 * variant.first > LONGEST_SHARE * self.limit:
                    slow.add((variant.kind, variant.precision))
                yield min(1.0, passed())
        yield from self._repeat(passed)

    def _repeat(self, passed: Callable[[], float]) -> Iterator[float]:
        """Run all variants in turn, as often as the time allows."""
        fits = True
        while fits:
            fits = False
            for variant in self.variants:
                expected = min([variant.first, *variant.seconds]) / self.limit
                if passed() + expected > 1:
                    continue
                variant.seconds.append(self._time(variant))
                fits = True
                yield min(1.0, passed())

    def _time(self, variant: Variant) -> float:
        started = self.clock()
        variant.run()
        return max(1e-9, self.clock() - started)
