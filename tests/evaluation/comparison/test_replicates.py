import pytest
import torch

from iddm_cli.evaluation.comparison.replicates import keep_all, leave_out_groups, split_in_two
from iddm_cli.evaluation.comparison.samples import build_sample


def labelled(*counts):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return build_sample(torch.zeros(len(labels), 1), labels)


def test_every_image_is_left_out_once():
    keep = leave_out_groups(labelled(33, 20))
    assert (~keep).sum(0).tolist() == [1] * 53
    assert set((~keep).sum(1).tolist()) == {5, 6}


@pytest.mark.parametrize("order", [torch.arange(100), torch.arange(100) % 10 * 10])
def test_no_group_is_a_class_in_whatever_order_images_come(order):
    sample = build_sample(torch.zeros(100, 1), (order // 10) % 10)
    keep = leave_out_groups(sample)
    for mask in ~keep:
        assert sample.labels[mask].bincount(minlength=10).tolist() == [1] * 10


@pytest.mark.parametrize("share", [0.5, 0.25, 0.7])
def test_both_parts_of_a_split_have_the_proportions_of_the_whole(share):
    sample = labelled(60, 20, 8)
    first, second = split_in_two(sample, share)
    assert torch.equal(second, ~first)
    assert len({tuple(mask.tolist()) for mask in first}) == len(first), "other images each time"
    for mask in first:
        for label, count in enumerate((60, 20, 8)):
            assert abs(int(mask[sample.labels == label].sum()) - share * count) <= 1


def test_without_classes_too():
    sample = build_sample(torch.zeros(50, 1))
    assert split_in_two(sample, 0.5)[0].sum(1).tolist() == [25] * 5
    assert keep_all(sample).all()
