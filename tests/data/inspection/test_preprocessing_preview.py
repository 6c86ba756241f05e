"""Preview of preprocessing: cropping, padding and squashing of known shapes."""

from pathlib import Path

from .images import inspect


def test_cropping_keeps_part_of_the_area(oblong: Path) -> None:
    preview = inspect(oblong, batch_size=2, image_size=16).treatment
    assert (preview.kept, preview.kept_least) == (round((0.25 + 0.5 + 1) / 3, 4), 0.25)
    assert (preview.padding, preview.distortion_most) == (0, 1)
    assert (preview.enlarged, preview.enlarged_by) == (2, 1.8)  # 1.6 and 2 times
    assert (preview.channels, preview.pack_bytes) == (3, 3 * 16 * 16 * 3)
    assert (preview.batch_size, preview.steps_per_epoch) == (2, 1.5)


def test_padding_fills_the_rest(oblong: Path) -> None:
    preview = inspect(oblong, image_size=16, aspect="pad").treatment
    assert (preview.padding, preview.padding_most) == (round((0.75 + 0.5 + 0) / 3, 4), 0.75)
    assert (preview.kept_least, preview.enlarged) == (1, 0)


def test_squashing_distorts(oblong: Path) -> None:
    preview = inspect(oblong, image_size=16, aspect="squash").treatment
    assert (preview.distortion, preview.distortion_most) == (round((4 + 2 + 1) / 3, 4), 4)
    assert (preview.kept_least, preview.padding_most) == (1, 0)
