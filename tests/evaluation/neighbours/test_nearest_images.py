"""The rule of copies: a third of the distance to the next image that shows something else."""

import pytest
import torch

from iddm_cli.evaluation.neighbours.nearest_images import (
    NearestImages,
    find_duplicates,
    pick_nearest,
)

FAR = [1.0, 1.1, 1.2]


def pick(distances, between, alone=0.0):
    count = len(distances)
    return pick_nearest(
        torch.arange(10, 10 + count)[None],
        torch.tensor([distances]),
        torch.tensor([between]),
        alone=alone,
    )


@pytest.mark.parametrize(("first", "is_copy"), [(0.0, True), (0.3, True), (0.35, False)])
def test_a_copy_is_less_than_a_third_as_far_away_as_the_second_nearest(first, is_copy):
    found = pick([1.2, first, 1.0], [1.3, 0.0, 1.1])
    assert found.nearest.item() == 11
    assert found.is_copy.item() is is_copy
    assert found.ratio.item() == pytest.approx(first, abs=2e-3)


def test_images_that_show_the_same_as_the_nearest_do_not_count_as_second():
    found = pick([0.1, 0.12, 0.15, 1.0], [0.0, 0.05, 0.1, 1.0])
    assert found.is_copy.item()
    assert found.ratio.item() == pytest.approx(0.1, abs=2e-3)


def test_without_a_second_image_another_distance_takes_its_place():
    assert pick([0.1], [0.0], alone=1.0).ratio.item() == pytest.approx(0.1, abs=2e-3)
    assert pick([0.1], [0.0], alone=0.0).ratio.item() == 1
    assert not pick([0.5, 0.6], [0.0, 0.05], alone=100.0).is_copy.item()


@pytest.mark.parametrize("same", [0, 1, 2, 3])
def test_duplicates_end_at_the_first_large_gap(same):
    between = torch.tensor([[0.0, *(0.01 * k for k in range(1, same + 1)), *FAR]])
    found = find_duplicates(between, torch.tensor([0]))
    assert found.tolist() == [[True] * (same + 1) + [False] * 3]


def test_the_image_itself_counts_however_far_it_seems():
    assert find_duplicates(torch.tensor([[0.9, 0.8, 1.0]]), torch.tensor([1])).tolist() == [
        [False, True, False]
    ]


def test_images_left_out_are_no_copies_and_parts_are_joined():
    near = NearestImages(torch.tensor([4, 5]), torch.tensor([0.1, 0.2]))
    joined = NearestImages.join([near, near.without(torch.tensor([True, False]))])
    assert joined.nearest.tolist() == [4, 5, 4, 5]
    assert joined.is_copy.tolist() == [True, True, False, True]
    assert len(NearestImages.join([]).ratio) == 0
