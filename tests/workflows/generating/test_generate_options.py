"""Options of `iddm generate` that contradict or need each other."""

from pathlib import Path

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.generating.generate_options import GenerateOptions

IMAGE, MASK = Path("a.png"), Path("m.png")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"index": "7", "count": 3}, "--index and --count cannot be combined"),
        ({"interpolate": "1:2:3", "count": 3}, "--interpolate and --count cannot"),
        ({"interpolate": "1:2:3", "index": "3"}, "--interpolate and --index cannot"),
        ({"interpolate": "1:2:3", "source": IMAGE}, "--interpolate and --from cannot"),
        ({"mask": MASK}, "--mask needs --from"),
        ({"strength": 0.5}, "--strength needs --from"),
        ({"source": IMAGE, "mask": MASK, "form": "jpg"}, "--format jpg changes every pixel"),
        ({"source": IMAGE, "strength": float("nan")}, "--strength nan is not a share"),
        ({"source": IMAGE, "strength": 0.0, "trajectory": "gif"}, "--trajectory"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(UsageError, match=message) as caught:
        GenerateOptions(**options).check()
    assert caught.value.hint.endswith(".")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"index": "7"},
        {"interpolate": "1:2:3", "trajectory": "webp", "size": (64, 64)},
        {"source": IMAGE, "mask": MASK, "strength": 0.7, "count": 2},
        {"source": IMAGE, "form": "jpg", "index": "3"},
    ],
    ids=str,
)
def test_everything_else_goes_together(options):
    GenerateOptions(**options).check()


def test_a_mask_generates_from_noise_unless_asked_otherwise():
    assert GenerateOptions(source=IMAGE).effective_strength == 0.5
    assert GenerateOptions(source=IMAGE, mask=MASK).effective_strength == 1
    assert GenerateOptions(source=IMAGE, mask=MASK, strength=0.0).effective_strength == 0
