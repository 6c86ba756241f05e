"""Numbers of a report: a value, and what it has to be read with."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """A measured number.

    Attributes:
        value: The value; a rate is a share in [0, 1].
        floor: The same number for two parts of the real images, for as many images: no model can
            be expected to be better; None where that has no meaning.
        low: Lower end of its 95 % interval; None without one.
        high: Upper end.
        count: Number of images that it was measured on; of two sets, of the smaller one.
    """

    value: float
    floor: float | None = None
    low: float | None = None
    high: float | None = None
    count: int | None = None

    def to_json(self) -> dict[str, float | int | None]:
        """Return the value, and of the others what there is; nan becomes null."""
        entries = {
            "floor": self.floor, "low": self.low, "high": self.high, "count": self.count,
        }  # fmt: skip
        known = {key: value for key, value in entries.items() if value is not None}
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in {"value": self.value, **known}.items()
        }
