"""Another size than the model was trained at: what networks allow, and what is warned of."""

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.generating import image_size
from iddm_cli.workflows.generating.image_size import set_size
from tests.build.profiles import tiny_profile


def test_a_size_is_a_multiple_of_the_down_sampling():
    profile = tiny_profile(model={"channel_multipliers": [1, 2, 2], "attention_levels": []})
    assert set_size(profile, (16, 24), keep_batch=False).data.size == (16, 24)
    with pytest.raises(UsageError, match="must be divisible by 4") as caught:
        set_size(profile, (18, 33), keep_batch=False)
    assert "--size 16x32" in caught.value.hint
    with pytest.raises(UsageError, match="sides are 1 to"):
        set_size(profile, (0, 16), keep_batch=False)
    with pytest.raises(UsageError, match="sides are 1 to"):
        set_size(profile, (16, 16_384), keep_batch=False)


def test_the_trained_size_is_no_change_and_another_a_warning(capsys):
    profile = tiny_profile()
    assert set_size(profile, profile.data.size, keep_batch=False) is profile
    assert capsys.readouterr().err == ""
    height, width = profile.data.size
    set_size(profile, (2 * height, width), keep_batch=False)
    assert f"trained at {height} x {width} pixels" in " ".join(capsys.readouterr().err.split())


def crop_profile():
    """A profile of crops of 8 x 8, of a network that halves them once."""
    return tiny_profile(
        data={"channels": 3, "crop": 8},
        model={"channel_multipliers": [1, 2], "attention_levels": []},
    )


def test_a_model_of_crops_computes_larger_images_in_windows(capsys):
    data = set_size(crop_profile(), (21, 35), keep_batch=False).data
    assert (data.size, data.window_size) == ((21, 35), (8, 8))
    assert capsys.readouterr().err == ""
    assert set_size(crop_profile(), (4, 35), keep_batch=False).data.window_size == (4, 8)
    with pytest.raises(UsageError, match="--size 3x35: height and width must be divisible") as no:
        set_size(crop_profile(), (3, 35), keep_batch=False)
    assert "--size 4x35" in no.value.hint
    whole = set_size(crop_profile(), (16, 32), keep_batch=False, windows=False).data
    assert whole.window_size is None
    assert "so shapes may repeat" in " ".join(capsys.readouterr().err.split())


def test_a_model_that_knows_positions_takes_larger_images_for_whole_ones(capsys):
    profile = tiny_profile(
        data={"channels": 3, "crop": 8, "crop_position": True, "whole_size": [20, 32]},
        model={"channel_multipliers": [1, 2], "attention_levels": []},
    )
    assert set_size(profile, (8, 8), keep_batch=False).data.whole_size == [20, 32]
    assert set_size(profile, (4, 8), keep_batch=False).data.whole_size == [20, 32], "a crop still"
    capsys.readouterr()
    assert set_size(profile, (4, 30), keep_batch=False).data.whole_size == [4, 30]
    assert "crops of images of about 20 x 32 pixels" in " ".join(capsys.readouterr().err.split())
    for windows in (True, False):
        larger = set_size(profile, (16, 40), keep_batch=False, windows=windows).data
        assert larger.whole_size == [16, 40]
        assert "images of about" not in " ".join(capsys.readouterr().err.split())
    assert set_size(crop_profile(), (16, 40), keep_batch=False).data.whole_size is None


def test_windows_of_a_model_of_whole_images_are_a_warning(capsys):
    profile = tiny_profile()
    height, width = profile.data.size
    assert set_size(profile, (2 * height, width), keep_batch=False).data.window_size is None
    capsys.readouterr()
    larger = set_size(profile, (2 * height, width + 1), keep_batch=False, windows=True)
    assert larger.data.window_size == (height, width)
    assert "windows suit only textures" in " ".join(capsys.readouterr().err.split())


def test_a_batch_keeps_its_number_of_pixels():
    profile = tiny_profile(sampling={"batch_size": 16})
    height, width = profile.data.size
    larger = (2 * height, 2 * width)
    assert set_size(profile, larger, keep_batch=False).sampling.batch_size == 4
    assert set_size(profile, larger, keep_batch=True).sampling.batch_size == 16
    huge = (16 * height, 16 * width)
    assert set_size(profile, huge, keep_batch=False).sampling.batch_size == 1


def test_attention_that_may_not_fit_the_memory_is_a_warning(monkeypatch, capsys):
    profile = tiny_profile(model={"channel_multipliers": [1, 2], "attention_levels": [1]})
    assert profile.model.attention_stride == 2
    image_size.warn_of_attention(profile, (64, 64))
    assert capsys.readouterr().err == ""
    image_size.warn_of_attention(profile, (8192, 8192))
    assert "attention over 16,777,216 positions" in " ".join(capsys.readouterr().err.split())
