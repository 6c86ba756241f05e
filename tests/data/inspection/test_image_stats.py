"""Statistics of one image, by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.inspection.image_stats import BLUE, GREEN, GREY, RED, measure_image
from iddm_cli.data.sources.folder import FileImage
from iddm_cli.profiles.settings import DataSettings
from tests.data.inspection.images import make_image


@pytest.fixture
def measure(tmp_path: Path):
    def save_and_measure(image: Image.Image, name: str = "a.png", **settings):
        image.save(tmp_path / name)
        data = DataSettings(**{"image_size": 8, "background": "white", **settings})
        return measure_image(data, FileImage(str(tmp_path), name))

    return save_and_measure


def test_the_means_are_those_of_the_pixels_that_training_sees(measure):
    stats = measure(Image.new("RGB", (8, 8), (10, 20, 250)))
    assert stats.mean[[RED, GREEN, BLUE]].tolist() == [10, 20, 250]
    assert stats.square[[RED, GREEN, BLUE]].tolist() == [100, 400, 62_500]
    assert stats.mean[GREY] == 0, "not computed, since training will not use it"
    assert measure(Image.new("RGB", (8, 8), (0, 0, 255)), channels=1).mean[GREY] == 29


def test_grey_is_a_property_of_the_pixels_and_not_of_the_file(measure):
    grey = make_image("a", mode="L")
    stored_grey, stored_colour = measure(grey), measure(grey.convert("RGB"))
    assert stored_grey.grey
    assert stored_colour.grey
    assert (stored_grey.mode, stored_colour.mode) == ("L", "RGB")
    assert stored_grey.digest.tolist() == stored_colour.digest.tolist(), "they are equal images"
    assert not measure(make_image("a")).grey


def test_one_pixel_or_another_size_changes_the_digest(measure):
    image = make_image("a")
    digests = [measure(image).digest.tolist()]
    image.putpixel((0, 0), (1, 2, 3))
    digests.append(measure(image).digest.tolist())
    digests.append(measure(Image.new("L", (2, 8))).digest.tolist())
    digests.append(measure(Image.new("L", (8, 2))).digest.tolist())
    assert len({*map(tuple, digests)}) == 4


@pytest.mark.parametrize(("span", "constant"), [(0, True), (8, True), (9, False)])
def test_an_image_of_one_colour_may_have_a_little_noise(measure, span, constant):
    image = Image.new("RGB", (8, 8), (100, 100, 100))
    image.putpixel((3, 3), (100, 100, 100 + span))
    assert measure(image).constant is constant


def test_a_deep_and_a_transparent_image_are_recognised(measure):
    deep = Image.fromarray(np.full((8, 8), 999, np.uint16))
    assert measure(deep).deep
    assert not measure(make_image("a")).deep
    assert measure(Image.new("LA", (8, 8), (9, 254))).transparent


def test_an_unreadable_image_is_a_reason(tmp_path):
    (tmp_path / "a.png").write_text("broken")
    assert "not an image" in measure_image(DataSettings(), FileImage(str(tmp_path), "a.png"))
