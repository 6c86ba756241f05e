"""Image files: a grid shows every image in its cell, a file contains its sampling metadata."""

import io
import math

import pytest
from PIL import Image

from iddm_cli.image_files import (
    COLOURS,
    GAP,
    encode_image,
    make_grid,
    plot_curve,
    running_mean,
    save_png,
)


def flat(level: int, size=(8, 8)) -> Image.Image:
    return Image.new("L", size, level)


def test_a_grid_enlarges_small_images_by_a_whole_factor_and_keeps_their_order():
    sheet = make_grid([("", [flat(10), flat(20)]), ("", [flat(30), flat(40)])])
    cell = 64
    assert sheet.size == (2 * (cell + GAP) + GAP, 2 * (cell + GAP) + GAP)
    centres = [
        sheet.getpixel((GAP + x * (cell + GAP) + cell // 2, GAP + y * (cell + GAP) + cell // 2))[0]
        for y in (0, 1)
        for x in (0, 1)
    ]
    assert centres == [10, 20, 30, 40]


def test_names_are_at_the_left_and_control_characters_are_harmless():
    with_name = make_grid([("cat\x1b[31m\n", [flat(0)])])
    assert with_name.width > make_grid([("", [flat(0)])]).width
    assert with_name.height == make_grid([("", [flat(0)])]).height


def test_rows_of_different_length_and_images_of_different_size_fit():
    sheet = make_grid([("a", [flat(0, (4, 8))]), ("b", [flat(0, (8, 4))] * 3), ("c", [])], cell=32)
    assert sheet.height == 3 * (32 + GAP) + GAP


def test_an_empty_grid_is_an_image():
    assert make_grid([]).size == (1, 1)


def test_colour_and_grey_pixels_are_kept_exactly():
    image = Image.new("RGB", (2, 1))
    image.putdata([(255, 0, 3), (1, 2, 250)])
    for form in ("png", "webp"):
        again = Image.open(io.BytesIO(encode_image(image, form)))
        assert list(again.convert("RGB").getdata()) == list(image.getdata())


@pytest.mark.parametrize("form", ["png", "jpg", "webp"])
def test_a_file_contains_its_metadata(form):
    image = Image.open(
        io.BytesIO(encode_image(flat(9), form, {"iddm:seed": "7", "iddm:class": "ä"}))
    )
    if form == "png":
        assert image.text == {"iddm:seed": "7", "iddm:class": "ä"}
    else:  # Pillow reads the UTF-8 that other programs expect as Latin-1
        description = image.getexif()[0x010E].encode("latin-1").decode()
        assert description == "iddm:seed: 7; iddm:class: ä"


def test_the_loss_curve_falls_where_the_loss_does(tmp_path):
    falling = plot_curve([(step, 1 / (1 + step)) for step in range(100)], title="loss")
    blue = [
        (x, y)
        for x in range(falling.width)
        for y in range(falling.height)
        if falling.getpixel((x, y)) == (20, 90, 180)
    ]
    left, right = min(blue), max(blue)
    assert left[1] < right[1], "lower values are plotted further down"
    save_png(falling, tmp_path / "loss.png")
    assert Image.open(tmp_path / "loss.png").size == falling.size


@pytest.mark.parametrize("points", [[], [(0, 1.0)], [(0, 0.0)], [(1, 2.0), (2, 2.0)]])
def test_a_curve_of_hardly_any_points_can_be_plotted(points):
    plot_curve(points, title="loss")


def test_smoothing_keeps_a_constant_and_the_number_of_points():
    points = [(step, 3.0) for step in range(50)]
    assert running_mean(points) == points


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 60, 61, 120, 137])
@pytest.mark.parametrize("share", [0.05, 0.3, 2.0])
def test_a_running_mean_is_the_mean_of_the_window_and_no_spike_spoils_others(count, share):
    values = [math.sin(i * i) + 1e20 * (i == 40) for i in range(count)]
    reach = max(3, round(count * share)) // 2
    windows = [values[max(0, i - reach) : i + reach + 1] for i in range(count)]
    means = running_mean([(i, value) for i, value in enumerate(values)], share)
    assert [x for x, _ in means] == list(range(count))
    expected = [math.fsum(window) / len(window) for window in windows]
    assert [y for _, y in means] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_running_mean_takes_a_few_additions_a_point():
    additions = []

    class Counted(float):
        def __add__(self, other):
            additions.append(other)
            return Counted(float(self) + float(other))

        __radd__ = __add__

    running_mean([(i, Counted(1)) for i in range(400)], share=0.5)
    assert len(additions) < 6 * 400


def test_further_curves_have_their_colours_and_a_legend_and_share_the_axes():
    points = [(step, 1.0) for step in range(100)]
    further = {"held-out": [(10, 0.5), (90, 2.0)], "training": [(50, 1.5)]}
    plot = plot_curve(points, title="loss", others=further)
    found = {
        colour: [(x, y) for x in range(plot.width) for y in range(plot.height)
                 if plot.getpixel((x, y)) == colour]
        for colour in COLOURS
    }  # fmt: skip
    for pixels in found.values():
        assert any(y < 25 for _, y in pixels), "its name in the legend"
        assert any(y > 32 for _, y in pixels), "its curve"
    curve = [(x, y) for x, y in found[COLOURS[0]] if y > 30]
    (left, low), (right, high) = min(curve), max(curve)
    assert left > 60 + 0.08 * (plot.width - 76)
    assert right < plot.width - 16
    assert high < low, "the held-out loss rises"


def test_a_plot_of_further_curves_alone_is_a_plot():
    assert plot_curve([], title="loss", others={"held-out": [(1, 1.0)], "none": []}).size
