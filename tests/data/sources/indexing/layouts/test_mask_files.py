"""Mask files: which image a file belongs to, by its name."""

import io

import pytest
from PIL import Image

from iddm_cli.data.sources.indexing.layouts.mask_files import (
    find_mask_files,
    find_twins,
    is_label_image,
    parse_mask_file,
)


@pytest.mark.parametrize(
    "pair",
    [
        "x.png x_mask.png", "x.jpg x_mask.png", "x.png x-mask.png", "x.png x.mask.png",
        "x.png x_Mask.PNG", "x.png x_seg.png", "x.png x_segmentation.png", "x.png x_gt.png",
        "x.png x_label.png", "x.png x_mask_1.png", "x.png x_mask2.png", "x.png x_ground-truth.png",
        "benign(1).png benign(1)_mask.png", "1_sat.jpg 1_mask.png", "0_HC.png 0_HC_Annotation.png",
        "a_leftImg8bit.png a_gtFine_labelIds.png", "a_leftImg8bit.png a_gtFine_color.png",
        "image_7.png mask_7.png", "7.png mask_7.png", "img-7.png seg-7.png", "x.jpg x_depth.png",
    ],
)  # fmt: skip
def test_a_mask_beside_its_image(pair: str) -> None:
    image, mask = pair.split()
    assert find_mask_files([image, mask]) == [mask]
    assert find_mask_files([mask]) == [], "without its image it is an image"


@pytest.mark.parametrize(
    "names", ["a.png b.png", "mask.png a.png", "maskrat_1.png rat_1.png", "x.png xmask.png",
              "face_1.png mask_1.png", "gt40_1.png 40_1.png"],
)  # fmt: skip
def test_images_that_are_no_masks(names: str) -> None:
    assert find_mask_files(names.split()) == []


def test_names_are_compared_without_affixes() -> None:
    assert parse_mask_file("A_image.png").image == parse_mask_file("a_mask.png").image == "a"


def test_twins_are_png_files_with_the_name_of_a_photograph() -> None:
    twins = ["a.jpg", "a.png", "b.JPEG", "b.PNG", "x.png"]
    assert find_twins([*twins, "c.jpg", "c.png"]) == ["a.png", "b.PNG", "c.png"]
    assert find_twins([*twins, "y.png"]) == [], "most files must have one"


@pytest.mark.parametrize(
    ("mode", "expected"), [("P", True), ("1", True), ("L", True), ("RGB", False), ("I;16", False)]
)
def test_label_images_by_their_headers(mode: str, expected: bool) -> None:
    content = io.BytesIO()
    Image.new(mode, (2, 2)).save(content, "png")
    assert is_label_image(content.getvalue()[:32]) is expected
    assert not is_label_image(content.getvalue()[:20])
