"""What is generated, from the options: the format of the files."""

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.value_range import EIGHT_BIT, ValueRange
from iddm_cli.workflows.generating.generation import resolve_form


def test_the_format_is_one_that_can_hold_the_values():
    assert resolve_form(None, EIGHT_BIT, 3) == "png"
    assert resolve_form("webp", EIGHT_BIT, 3) == "webp"
    floats = ValueRange("float32", (0.0,), (1.0,))
    assert resolve_form(None, floats, 1) in ("tiff", "npy")
    with pytest.raises(UsageError, match="cannot hold the images"):
        resolve_form("png", floats, 1)
