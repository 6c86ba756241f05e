import pytest
import torch

from iddm_cli.evaluation.comparison.samples import (
    COMPARED,
    append_class_codes,
    build_pair,
    build_sample,
    choose_compared,
    match_proportions,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labelled(*counts, seed=0):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return build_sample(normal(len(labels), 4, seed=seed), labels)


def shares(sample):
    totals = torch.zeros(int(sample.labels.max()) + 1).double()
    return totals.index_add(0, sample.labels, sample.weights) / sample.weights.sum()


def test_real_images_are_weighted_to_the_proportions_of_generated_ones():
    real = match_proportions(labelled(90, 10), labelled(20, 60))
    assert shares(real).tolist() == pytest.approx([0.25, 0.75])
    assert len(real.weights[:90].unique()) == 1, "all images of a class count alike"


def test_equal_proportions_give_equal_weights():
    assert match_proportions(labelled(50, 50), labelled(200, 200)).is_uniform


def test_a_class_without_generated_images_keeps_its_share():
    real = match_proportions(labelled(50, 30, 20), labelled(40, 0, 40))
    assert shares(real).tolist() == pytest.approx([0.35, 0.3, 0.35])


def test_codes_of_classes_are_as_far_apart_as_random_real_images():
    real, generated = labelled(300, 300), labelled(10, 10, seed=1)
    x, y = append_class_codes(real, generated)
    pairs = real.features[torch.randperm(600, generator=torch.Generator().manual_seed(1))]
    usual = (real.features - pairs).square().sum(1).mean()
    codes = x.features[[0, 300], 4:]
    assert float((codes[0] - codes[1]).square().sum()) == pytest.approx(float(usual), rel=0.1)
    assert torch.equal(y.features[0, 4:], codes[0]), "one code for each class"
    assert torch.equal(x.features[:, :4], real.features)


def test_many_classes_have_short_codes_that_differ():
    labels = torch.arange(1000)
    x, _ = append_class_codes(*(build_sample(normal(1000, 4), labels) for _ in range(2)))
    assert x.features.shape == (1000, 68)
    codes = torch.nn.functional.normalize(x.features[:, 4:])
    assert float((codes @ codes.T).fill_diagonal_(0).abs().max()) < 0.8


def test_a_pair_without_classes_is_compared_as_it_is():
    x, y = build_sample(normal(20, 4)), build_sample(normal(30, 4))
    pair = build_pair(x, y)
    assert torch.equal(pair.joint[0].features, x.features)
    assert pair.real.is_uniform and pair.generated.is_uniform


def test_generated_images_of_unknown_classes_are_left_out():
    pair = build_pair(labelled(20, 0, 20), labelled(10, 10, 10))
    assert pair.generated.labels.unique().tolist() == [0, 2]
    assert len(build_pair(labelled(0, 20), labelled(10, 0)).generated) == 0


def test_large_sets_are_thinned_at_random_always_alike():
    chosen = choose_compared(3 * COMPARED)
    assert len(chosen) == len(chosen.unique()) == COMPARED
    assert torch.equal(chosen, choose_compared(3 * COMPARED))
    assert 0.3 < float((chosen < COMPARED).double().mean()) < 0.37
    assert torch.equal(choose_compared(7), torch.arange(7))
