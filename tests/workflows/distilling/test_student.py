"""The profile of a distilled run: what it keeps of its teacher's, and what it changes."""

from dataclasses import replace
from pathlib import Path

import pytest

from iddm_cli.errors import DatasetError, ProfileError, UsageError
from iddm_cli.profiles.settings import SamplingSettings
from iddm_cli.workflows.distilling.student import (
    KEPT_SAMPLING,
    DistillRequest,
    build_student_profile,
    suggest_steps,
)
from iddm_cli.workflows.transferring.trained_source import TrainedSource
from tests.workflows.distilling.runs import make_run

SAMPLING = {"sampler": "ddim", "steps": 7, "eta": 0.5, "guidance": 2.5, "batch_size": 5,
            "guidance_interval": [0.1, 0.9], "guidance_rescale": 0.5}  # fmt: skip


@pytest.fixture
def teacher(tmp_path: Path) -> TrainedSource:
    training = {"batch_size": 12, "lr": 0.01}
    diffusion = {"time_distribution": "log-normal", "time_mean": 0.5}
    path = make_run(tmp_path, sampling=SAMPLING, training=training, diffusion=diffusion)
    return TrainedSource("pets", path, 4000, ("cat", "dog"), None)


def build(teacher: TrainedSource, runs: Path, *sets: str, **asked):
    request = {"calls": 2, "steps": None, "guidance": None, "options": {}, **asked}
    return build_student_profile(teacher, DistillRequest(**request, sets=sets), runs)


def test_data_network_and_schedule_are_the_teachers(teacher, tmp_path):
    profile, own = build(teacher, tmp_path), teacher.load_profile()
    assert profile.data == own.data
    assert own.diffusion.time_distribution == "log-normal"
    even = {"time_distribution": "uniform", "time_mean": None}
    assert profile.diffusion == own.diffusion.model_copy(update=even), "but for when it looks"
    assert profile.model == own.model.model_copy(update={"dropout": 0.0})
    assert profile.training.batch_size == 12
    assert profile.distillation.model_dump() == {
        "teacher": "pets", "teacher_step": 4000, "guidance": 2.5, "stage_steps": 125,
        "guidance_interval": [0.1, 0.9], "guidance_rescale": 0.5,
    }  # fmt: skip


def test_sampling_is_its_own(teacher, tmp_path):
    sampling = build(teacher, tmp_path, calls=4).sampling
    assert (sampling.sampler, sampling.steps, sampling.guidance) == ("consistency", 4, 1.0)
    assert sampling.batch_size == 5
    plain = SamplingSettings()
    for key in SamplingSettings.model_fields:
        if key not in (*KEPT_SAMPLING, "sampler", "steps", "guidance"):
            assert getattr(sampling, key) == getattr(plain, key), key


def test_it_takes_a_quarter_of_the_teachers_time(teacher, tmp_path):
    assert build(teacher, tmp_path).training.steps == 500, "each step costs as much as two"
    assert build(teacher, tmp_path, guidance=1.0).training.steps == 750, "or as four thirds"
    assert build(teacher, tmp_path, steps=80).training.steps == 80


@pytest.mark.parametrize(("trained", "expected"), [(300, 100), (60, 60)])
def test_a_short_training_is_distilled_for_longer(teacher, trained, expected):
    assert suggest_steps(replace(teacher, step=trained), guided=True) == expected


def test_settings_of_the_command_line_win(teacher, tmp_path):
    sets = ("training.lr=0.5", "distillation.stage_steps=3", "data.path=elsewhere")
    profile = build(teacher, tmp_path, *sets, guidance=4.0)
    assert (profile.training.lr, profile.distillation.stage_steps) == (0.5, 3)
    assert (profile.data.path, profile.distillation.guidance) == ("elsewhere", 4.0)
    with pytest.raises(ProfileError, match=r"--set evaluation.loss_every=5: a distilled run has"):
        build(teacher, tmp_path, "evaluation.loss_every=5")


def test_options_of_guidance_take_the_place_of_the_teachers(teacher, tmp_path):
    asked = {"guidance_interval": [0.2, 1.0], "guidance_rescale": 0.0}
    found = build(teacher, tmp_path, **asked).distillation
    assert (found.guidance, found.guidance_interval, found.guidance_rescale) == (2.5, [0.2, 1], 0)
    off = build(teacher, tmp_path, guidance=1.0).distillation
    assert (off.guidance, off.guidance_interval, off.guidance_rescale) == (1, [0, 1], 0)
    for key, value in asked.items():
        with pytest.raises(UsageError, match=f"--{key.replace('_', '-')} has no effect"):
            build(teacher, tmp_path, guidance=1.0, **{key: value})


def test_muon_is_the_optimizer_unless_another_is_chosen(tmp_path):
    training = {"optimizer": "muon", "muon_lr": 0.05, "lr": 0.01}
    path = make_run(tmp_path, training=training)
    teacher = TrainedSource("pets", path, 4000, ("cat", "dog"), None)
    found = [
        build(teacher, tmp_path, *sets).training.model_dump()
        for sets in ((), ("training.optimizer=adamw",), ("training.muon_lr=0.01",))
    ]
    keys = ("optimizer", "lr", "muon_lr")
    assert [tuple(one[key] for key in keys) for one in found] == [
        ("muon", 1e-3, 0.005), ("adamw", 5e-4, 0.02), ("muon", 1e-3, 0.01)
    ]  # fmt: skip


def test_a_teacher_elsewhere_is_named_by_its_path(teacher, tmp_path):
    profile = build(teacher, tmp_path / "other")
    assert profile.distillation.teacher == str(teacher.path)


def test_without_classes_nothing_is_folded_in(tmp_path):
    path = make_run(tmp_path, classes={})
    teacher = TrainedSource("pets", path, 4000, (), None)
    assert build(teacher, tmp_path).distillation.guidance == 1
    with pytest.raises(UsageError, match="pets has no classes, so nothing guides it"):
        build(teacher, tmp_path, guidance=2.0)


def test_an_imported_teacher_needs_images_and_a_length(tmp_path):
    path = make_run(tmp_path, dataset={"path": None, "digest": None})
    teacher = TrainedSource("pets", path, 0, ("cat", "dog"), None)
    with pytest.raises(DatasetError, match="imported, so it has no images to distil with"):
        build(teacher, tmp_path, steps=5)
    images = {"--data data.path": "photos"}
    with pytest.raises(UsageError, match="training time is unknown"):
        build(teacher, tmp_path, options=images)
    assert build(teacher, tmp_path, options=images, steps=5).data.path == "photos"


@pytest.mark.parametrize(("prediction", "warns"), [("epsilon", True), ("v", False)])
def test_a_teacher_that_predicts_noise_is_warned_of(tmp_path, capsys, prediction, warns):
    path = make_run(tmp_path, diffusion={"prediction": prediction})
    build(TrainedSource("pets", path, 4000, ("cat", "dog"), None), tmp_path)
    assert ("predicts the noise" in capsys.readouterr().err) is warns
