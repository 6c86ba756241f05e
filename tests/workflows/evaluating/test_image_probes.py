"""Probes: the size of images and the type of their values, from a few of them."""

import numpy as np
import pytest
from PIL import Image

from iddm_cli.errors import DatasetError
from iddm_cli.value_range import EIGHT_BIT, ValueRange
from iddm_cli.workflows.evaluating.image_probes import ImageProbe, probe_images
from iddm_cli.workflows.evaluating.image_warnings import warn_of_values
from tests.e2e.conftest import draw_folder


def test_the_size_is_the_median_of_the_images(tmp_path):
    folder = draw_folder(tmp_path / "a", {"x": 3}, size=(20, 24))
    draw_folder(folder, {"y": 1}, size=(90, 90))
    assert probe_images(str(folder)) == ImageProbe(24, 20, "uint8")


def test_files_that_are_not_images_are_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not an image")
    with pytest.raises(DatasetError):
        probe_images(str(tmp_path))


def test_values_of_another_type_are_a_warning(tmp_path):
    for i in range(3):
        Image.fromarray(np.full((6, 8), 1000 * i, np.uint16)).save(tmp_path / f"{i}.png")
    probe = probe_images(str(tmp_path))
    assert probe == ImageProbe(6, 8, "uint16")
    (warning,) = warn_of_values(probe, EIGHT_BIT, "scans")
    assert warning.startswith("the values of scans are uint16, those that they are compared with")
    assert not warn_of_values(probe, ValueRange("uint16", (0.0,), (9000.0,)), "scans")


def test_floating_point_values_of_any_length_are_of_one_type():
    values = ValueRange("float64", (0.0,), (1.0,))
    assert not warn_of_values(ImageProbe(6, 8, "float32"), values, "scans")
