"""The profile of a run that starts from a trained model."""

from pathlib import Path

import pytest

from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.profiles.overrides import Override
from iddm_cli.workflows.transferring.transferred_profile import load_profile_to_train
from tests.workflows.distilling.runs import make_run
from tests.workflows.distilling.test_teacher import save_checkpoint

TRAINING = {"batch_size": 12, "extensions": [[5, "keep"]]}
DIFFUSION = {"prediction": "v", "schedule": "cosine", "noise_shift": 2.0}


@pytest.fixture
def runs(tmp_path) -> Path:
    save_checkpoint(make_run(tmp_path, training=TRAINING, diffusion=DIFFUSION), 5, 0.5)
    return tmp_path


def load(runs: Path, text: str | None, *, source: str | None = "pets", **sets):
    profile = None
    if text is not None:
        (runs / "mine.yaml").write_text(text)
        profile = str(runs / "mine.yaml")
    overrides = [Override(key.replace("__", "."), value, "--set") for key, value in sets.items()]
    return load_profile_to_train(profile, overrides, source=source, runs_dir=runs)


def test_without_a_profile_it_is_the_trained_models(runs):
    profile, source = load(runs, None, training__steps=7)
    assert (profile.training.batch_size, profile.training.steps) == (12, 7)
    assert profile.training.extensions == []
    assert profile.diffusion.noise_shift == 2.0
    wanted = {"source": "pets", "source_step": 5, "weights": "average", "rename": []}
    assert profile.transfer.model_dump() == wanted
    assert source.name == "pets"


def test_a_profile_takes_network_and_noise_from_the_trained_model_where_it_lacks_them(runs):
    profile, _ = load(runs, "training:\n  batch_size: 3\n  epochs: 2\n")
    assert profile.training.batch_size == 3
    assert (profile.model.base_channels, profile.model.channel_multipliers) == (8, [1, 2])
    assert (profile.diffusion.prediction, profile.diffusion.schedule) == ("v", "cosine")
    assert (profile.data.image_size, profile.data.channels) == (16, 3)
    assert load(runs, "diffusion:\n  noise_shift: 4\n")[0].diffusion.noise_shift == 4
    assert load(runs, "model:\n  dropout: 0.1\n")[0].model.dropout == 0.1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model:\n  base_channels: 16\n", "model.base_channels is 16, and 8 in pets"),
        ("model:\n  network: iddm-unet\n", "model.network is iddm-unet, and unet in pets"),
        ("diffusion:\n  prediction: x\n", "diffusion.prediction is x, and v in pets"),
        ("diffusion:\n  timesteps: 500\n", "diffusion.timesteps is 500, and 1000 in pets"),
        ("data:\n  channels: 4\n", "data.channels is 4, and 3 in pets"),
    ],
)
def test_what_the_weights_depend_on_is_refused_by_its_name(runs, text, said):
    with pytest.raises(UsageError, match=said) as refused:
        load(runs, text)
    assert "Leave these settings out" in refused.value.hint


def test_with_larger_images_the_network_grows_and_the_noise_with_them(runs):
    for profile, _ in (load(runs, None, data__image_size=64), load(runs, "data: {image_size: 64}")):
        assert profile.data.size == (64, 64)
        assert profile.model.channel_multipliers == [1, 1, 1, 2]
        assert profile.model.attention_levels == [3]
        assert profile.diffusion.noise_shift == 8.0, "four times what it was"
    given = {"data__image_size": 64, "diffusion__noise_shift": 3.0, "model__patch_size": 4}
    profile, _ = load(runs, None, **given)
    assert (profile.model.patch_size, profile.model.channel_multipliers) == (4, [1, 2])
    assert profile.diffusion.noise_shift == 3.0
    same = load(runs, None, data__image_size=64, model__channel_multipliers=[1, 2])[0]
    assert same.model.attention_levels == [1]
    small = load(runs, None, data__image_size=8)[0]
    assert (small.model.channel_multipliers, small.diffusion.noise_shift) == ([1, 2], 2.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model__channel_multipliers": [2, 1, 1]}, "channel_multipliers is .2, 1, 1., and .1, 2."),
        ({"model__attention_levels": [0]}, "attention_levels is .0., and .1. in pets"),
        ({"training__lora_rank": 2}, "would freeze what is new"),
    ],
)
def test_what_is_no_growth_is_refused(runs, changes, said):
    with pytest.raises(UsageError, match=said):
        load(runs, None, **{"data__image_size": 64, **changes})


def test_a_latent_model_starts_only_latent_runs_and_keeps_its_autoencoder(tmp_path):
    data = {"channels": 3, "image_size": 16, "encoder": "codec", "latents": [4, 4]}
    save_checkpoint(make_run(tmp_path, data=data), 5, 0.5)
    assert load(tmp_path, None)[0].data.encoder == "codec"
    assert load(tmp_path, "training: {steps: 3}")[0].data.encoder == "codec"
    assert load(tmp_path, None, data__encoder="other")[0].data.encoder == "other"
    for text in (None, "training: {steps: 3}"):
        with pytest.raises(UsageError, match=r"data\.encoder is null, and codec in pets"):
            load(tmp_path, text, data__encoder=None)


def test_a_model_of_pixels_starts_no_latent_run(runs):
    with pytest.raises(UsageError, match=r"data\.encoder is codec, and null in pets"):
        load(runs, None, data__encoder="codec")


def test_a_profile_may_name_the_trained_model_itself(runs):
    profile, source = load(runs, "transfer:\n  source: pets\n  source_step: 5\n", source=None)
    assert (source.step, profile.transfer.source_step, profile.model.base_channels) == (5, 5, 8)
    profile, source = load(runs, "data:\n  path: demo\n", source=None)
    assert source is None
    assert not profile.transfer.is_enabled


def test_it_takes_the_weights_that_are_asked_for(runs):
    assert load(runs, None, transfer__weights="raw")[1].weights == "raw"
    with pytest.raises(UsageError, match="foo names no weights"):
        load(runs, None, transfer__weights="foo")


def test_an_imported_model_needs_images(tmp_path):
    nothing = {"digest": None, "path": None}
    save_checkpoint(make_run(tmp_path, dataset=nothing), 0, 0.5)
    with pytest.raises(DatasetError, match="pets was imported") as refused:
        load(tmp_path, None)
    assert "iddm train --from pets --data FOLDER" in refused.value.hint
    assert load(tmp_path, None, data__path="demo")[1].step == 0
