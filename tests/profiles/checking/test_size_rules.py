"""Rules on the size trained at: crops decide it, and what does not work with them is refused."""

import pytest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  crop: 64\n  image_size: 32\n", "data.crop: 64 and data.image_size: 32 contradict"),
        ("  crop: 38\n", "must be divisible by 4"),
        ("  crop: 64\n  cache: off\n", "data.cache: off does not work with data.crop"),
        ("  crop_scale: 0.5\n", "data.crop_scale has no effect without data.crop"),
        ("  crop_position: true\n", "data.crop_position has no effect without data.crop"),
        ("  crop: 8\n  whole_size: [9, 9]\n", "data.whole_size has no effect without data.crop_po"),
        (
            "  crop: 8\n  crop_position: true\n  whole_size: [64, 7]\n",
            "data.whole_size: [64, 7] is smaller than the crops, 8 x 8",
        ),
        (
            "  crop: 8\n  crop_position: true\n  random_crop: 0.9\n",
            "data.random_crop enlarges crops, so data.crop_position would be wrong",
        ),
    ],
)
def test_what_does_not_work_with_crops_is_refused(refuse, text, said):
    assert said in refuse("data:\n" + text + "model:\n  attention_levels: []\n").problem


def test_the_size_given_last_is_that_of_crops(load):
    whole, crops = "data:\n  image_size: 32\n", "data:\n  crop: 64\n"
    assert load(whole, "data.crop=64").data.size == (64, 64)
    assert load(crops, "data.image_size=32").data.crop_size == (32, 32)
    assert load(crops, "data.crop=null").data.crop_size is None


@pytest.mark.parametrize("size", [64, [32, 64]])
def test_crops_are_the_size_trained_at(load, size):
    data = load(f"data:\n  crop: {size}\n").data
    height, width = (size, size) if isinstance(size, int) else size
    assert data.size == data.crop_size == (height, width)
    assert data.stored_size == (height, width)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("network: autoencoder", "does not work with model.network: autoencoder"),
        ("condition: low_resolution", "does not work with model.condition: low_resolution"),
    ],
)
def test_networks_that_cannot_read_positions_are_refused(refuse, model, said):
    text = f"data:\n  crop: 16\n  crop_position: true\nmodel:\n  {model}\n"
    assert f"data.crop_position {said}" in refuse(text).problem
