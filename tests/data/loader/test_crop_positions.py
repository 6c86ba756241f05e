"""Coordinates of crops; that every part of a training reads them is in tests/laws."""

import torch

from iddm_cli.data.loader.crop_positions import (
    build_blank_coordinates,
    build_coordinates,
    mirror_corners,
)


def test_the_coordinates_of_a_crop_are_those_of_the_whole_image_cut():
    whole = build_coordinates(torch.tensor([[0, 0]]), torch.tensor([[6, 10]]), (6, 10))[0]
    x, y = whole
    assert torch.allclose(
        x[0], torch.tensor([-0.9, -0.7, -0.5, -0.3, -0.1, 0.1, 0.3, 0.5, 0.7, 0.9])
    )
    assert (x == x[:1]).all() and (y == y[:, :1]).all()
    torch.testing.assert_close(y[:, 0], torch.tensor([-5.0, -3, -1, 1, 3, 5]) / 6)
    crops = build_coordinates(torch.tensor([[1, 7], [2, 0]]), torch.tensor([[6, 10]] * 2), (4, 3))
    assert torch.equal(crops[0], whole[:, 1:5, 7:10])
    assert torch.equal(crops[1], whole[:, 2:6, 0:3])


def test_an_image_and_a_smaller_copy_of_it_have_the_same_coordinates():
    large, small = (
        build_coordinates(torch.zeros(1, 2), torch.tensor([size]), size)
        for size in ((6, 8), (3, 4))
    )
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(large, 2), small)


def test_a_mirrored_crop_lies_in_the_mirrored_image():
    corners, wholes = torch.tensor([[1, 7], [2, 0]]), torch.tensor([[6, 10], [9, 12]])
    assert mirror_corners(corners, wholes, 3, torch.tensor([True, False])).tolist() == [
        [1, 0], [2, 0],
    ]  # fmt: skip
    assert mirror_corners(corners, wholes, 3, torch.tensor([False, True])).tolist() == [
        [1, 7], [2, 9],
    ]  # fmt: skip


def test_images_that_are_no_crops_lie_nowhere():
    x = torch.rand(3, 1, 4, 6)
    blank = build_blank_coordinates(x, 0, torch.arange(3))
    assert blank.shape == (3, 2, 4, 6) and not blank.any()
