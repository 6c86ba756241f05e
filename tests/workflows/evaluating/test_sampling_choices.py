"""Ways of generating: every combination once, and a title that tells them apart."""

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.evaluating.generated_images import digest_choice
from iddm_cli.workflows.evaluating.request import EvaluationRequest, SamplingGrid
from iddm_cli.workflows.evaluating.sampling_choices import list_choices, name_choices
from tests.workflows.guiding_files import write_models


def choose(model, **lists: tuple):
    grid = SamplingGrid(**{"precisions": ("fp32",), **lists})
    return list_choices(model, EvaluationRequest(grid=grid))


def test_intervals_and_precisions_are_told_apart(model):
    choices = choose(model, intervals=((0.0, 1.0), (0.2, 0.8)), precisions=("fp32", "bf16"))
    assert [choice.precision for choice in choices] == ["fp32", "bf16"] * 2
    titles = ["fp32", "bf16", "guidance in 0.2:0.8, fp32", "guidance in 0.2:0.8, bf16"]
    assert name_choices(choices) == titles


def test_every_combination_has_its_own_settings(model):
    choices = choose(model, samplers=("ddim", "ddpm"), steps=(3, 4))
    found = [(c.profile.sampling.sampler, c.profile.sampling.steps) for c in choices]
    assert found == [("ddim", 3), ("ddim", 4), ("ddpm", 3), ("ddpm", 4)]
    assert name_choices(choices) == ["ddim, 3 steps", "ddim, 4 steps", "ddpm, 3 steps",
                                     "ddpm, 4 steps"]  # fmt: skip


def test_guidance_at_all_noise_levels_has_a_title(model):
    choices = choose(model, intervals=((0.0, 1.0), (0.2, 0.8)))
    assert name_choices(choices) == ["guidance at all noise levels", "guidance in 0.2:0.8"]


def test_settings_of_guidance_are_told_apart_and_have_titles(model, tmp_path):
    def title(**lists: tuple) -> list[str]:
        return name_choices(choose(model, **lists))

    assert title(rescales=(0.0, 0.7)) == ["guidance as it is", "rescaled by 0.7"]
    assert title(thresholds=(0.0, 0.99)) == ["plain clipping", "threshold 0.99"]
    _, weak = write_models(tmp_path)
    guides = (None, str(weak))
    assert title(guides=guides) == [
        "classifier-free guidance", "guided by weak.safetensors@500",
    ]  # fmt: skip
    choices = choose(model, guides=guides)
    keys = [digest_choice(model, choice, [1], 0, own_noise=True) for choice in choices]
    assert len(set(keys)) == 2, "their cached images are told apart"


def test_the_same_settings_are_evaluated_once(model):
    assert len(choose(model, checkpoints=(None, 500), guidances=(None, 2.0), steps=(5,))) == 1


def test_the_title_of_one_choice_says_everything(model):
    (title,) = name_choices(choose(model))
    assert title == "step 500, ddim, 5 steps, guidance 2"


def test_options_hold_for_all(model):
    request = EvaluationRequest(
        batch_size=3, device="cpu", grid=SamplingGrid(steps=(2, 3), precisions=("fp32",))
    )
    for choice in list_choices(model, request):
        assert choice.profile.sampling.batch_size == 3
        assert choice.profile.runtime.device == "cpu"


def test_an_invalid_setting_names_its_option(model):
    with pytest.raises(UsageError, match="--steps"):
        choose(model, steps=(0,))
