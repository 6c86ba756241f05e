from dataclasses import replace

import pytest
import torch

from iddm_cli.evaluation.features import feature_training
from iddm_cli.evaluation.features.feature_training import (
    build_network,
    rotate_quarters,
    rotate_set,
    shift_images,
    train_network,
)
from iddm_cli.evaluation.image_set import ImageSet
from tests.evaluation.shapes import render_shapes


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(feature_training, "MIN_STEPS", 3)
    monkeypatch.setattr(feature_training, "EPOCHS", 1)


def train(images, *, seed=0, outputs=4):
    network = build_network(images.pixels.shape[1], outputs, seed=seed)
    train_network(network, images, named=images.labels is not None, seed=seed)
    return network.state_dict()


def test_the_weights_are_a_function_of_images_and_seed():
    images = render_shapes(3)
    first, again, other = train(images), train(images), train(images, seed=1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_no_random_number_is_taken_from_torch():
    state = torch.get_rng_state()
    train(render_shapes(3))
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_start_so_that_activations_keep_their_size():
    network = build_network(1, 4)
    weight = network.stages[2].layers[0].weight
    assert float(weight.detach().std()) == pytest.approx((2 / weight[0].numel()) ** 0.5, rel=0.02)
    assert torch.equal(network.stem[1].weight, torch.ones(32))
    assert torch.equal(network.stem[1].running_var, torch.ones(32))


def test_rare_classes_count_as_much_as_others_up_to_a_limit():
    labels = torch.tensor([0] * 100 + [1] * 25 + [2])
    weights = feature_training._balance_classes(labels, 4)
    assert weights.tolist() == [1, 4, 10, 0]
    assert feature_training._balance_classes(None, 4).tolist() == [1, 1, 1, 1]


def test_a_class_without_images_is_never_the_answer():
    images = render_shapes(3)
    network = build_network(1, 5)
    with torch.no_grad():
        network.head.bias[4] = 50
    train_network(network, replace(images, classes=(*images.classes, "unseen")), named=True)
    assert 4 not in network.eval()(images.images()).argmax(1)


@pytest.mark.parametrize("count", [1, 7, 63, 64, 200])
def test_every_epoch_takes_every_image_once(count):
    seen = feature_training._shuffle(torch.arange(3 * count), count, 0).view(3, count)
    assert all(epoch.sort().values.tolist() == list(range(count)) for epoch in seen)
    assert count < 7 or not torch.equal(seen[0], seen[1])


def test_shifts_move_whole_images_and_repeat_the_border():
    x = torch.arange(64 * 32.0).view(1, 1, 64, 32).repeat(200, 1, 1, 1)
    shifted = shift_images(x, 0, 5)
    moves = (shifted[:, 0, 30, 16] - x[:, 0, 30, 16]).unique()
    assert 35 < len(moves) <= 9 * 5 and moves.abs().max() == 4 * 32 + 2
    assert shifted.max() <= x.max() and shifted.min() >= x.min()


def test_rotations_are_by_quarter_turns_of_the_central_square():
    x = torch.arange(6 * 4.0).view(1, 1, 6, 4).repeat(40, 1, 1, 1)
    rotated, turns = rotate_quarters(x, 0, 0)
    assert set(turns.tolist()) == {0, 1, 2, 3}
    for one, k in zip(rotated, turns.tolist(), strict=True):
        assert torch.equal(one, x[0, :, 1:5].rot90(k, dims=(1, 2)))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_a_rotated_set_is_labelled_by_its_turns(dtype):
    pixels = torch.arange(2 * 9).view(2, 1, 3, 3).to(dtype)
    rotated = rotate_set(ImageSet("a", pixels, names=("x", "y")), 0)
    assert rotated.pixels.dtype == dtype and len(rotated.classes) == 4
    for one, turn, before in zip(rotated.pixels, rotated.labels, pixels, strict=True):
        assert one.tolist() == before.int().rot90(int(turn), dims=(1, 2)).tolist()
    assert rotate_set(ImageSet("b", pixels[:0]), 0).labels.shape == (0,)


def test_images_without_classes_train_on_rotations():
    images = render_shapes(2)
    assert train(replace(images, labels=None, classes=()))["head.bias"].abs().max() < 10
