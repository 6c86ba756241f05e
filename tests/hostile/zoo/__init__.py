"""A zoo: a dataset folder made to be hostile, which knows what should become of each file."""

from collections.abc import Callable
from pathlib import Path

from tests.hostile.zoo import bombs, colours, damage, formats, names, places, shapes
from tests.hostile.zoo.keeper import Zoo

FAMILIES: tuple[Callable[[Zoo], None], ...] = (
    *colours.FAMILIES,
    *shapes.FAMILIES,
    *damage.FAMILIES,
    *bombs.FAMILIES,
    *formats.FAMILIES,
    *places.FAMILIES,
    *names.FAMILIES,
)


def create_zoo(base: Path) -> Zoo:
    """Create the dataset below this folder, and beside it the folder that its links lead to."""
    zoo = Zoo(root=base / "around" / "zoo", outside=base / "outside")
    for family in FAMILIES:
        family(zoo)
    return zoo
