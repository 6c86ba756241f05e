"""Names of sets of weights: average (the EMA), raw, and averages of a chosen length."""

import re
from typing import Annotated, Literal

from pydantic import Field

AVERAGE_NAME = r"^average-0\.\d{0,3}[1-9]$"
"""Pattern of the name of an average whose length is chosen after training."""

NamedAverage = Annotated[str, Field(pattern=AVERAGE_NAME)]
WeightsName = Literal["average", "raw"] | NamedAverage


def name_average(length: float) -> str:
    """Return the name of the average of a length, which has four decimals at most."""
    return f"average-{length:.4f}".rstrip("0")


def is_named_average(name: str) -> bool:
    """Return whether a name is that of an average of a chosen length."""
    return re.fullmatch(AVERAGE_NAME, name) is not None


def parse_average_name(name: str) -> float:
    """Return the length in the name of an average of a chosen length."""
    return float(name.removeprefix("average-"))


def part_of_weights(name: str) -> str:
    """Return the part of a checkpoint or file that holds weights of this name."""
    return {"raw": "model"}.get(name, name)


def weights_of_part(part: str) -> str:
    """Return the name of the weights that a part holds: the inverse of `part_of_weights`."""
    return {"model": "raw"}.get(part, part)
