"""What is generated, from the options: the format of files, and which noise the classes have."""

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.value_range import EIGHT_BIT, ValueRange
from iddm_cli.workflows.generating.generate_options import GenerateOptions
from iddm_cli.workflows.generating.generation import has_own_noise, resolve_form


class Model:
    classes = ("cat", "dog")


class Plain:
    classes = ()


def test_classes_have_their_own_noise_unless_asked_otherwise():
    assert has_own_noise(GenerateOptions(), Model)
    assert not has_own_noise(GenerateOptions(same_noise=True), Model)
    assert not has_own_noise(GenerateOptions(), Plain), "both rules are the same there"


def test_the_format_is_one_that_can_hold_the_values():
    assert resolve_form(None, EIGHT_BIT, 3) == "png"
    assert resolve_form("webp", EIGHT_BIT, 3) == "webp"
    floats = ValueRange("float32", (0.0,), (1.0,))
    assert resolve_form(None, floats, 1) in ("tiff", "npy")
    with pytest.raises(UsageError, match="cannot hold the images"):
        resolve_form("png", floats, 1)
