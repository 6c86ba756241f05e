"""--guide-with: which model it names, and that one that does not match is refused with reasons."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.errors import CheckpointError, ProfileError, RunError, UsageError
from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.profiles.writing import dump_profile
from iddm_cli.records.latent_scale import LatentScale
from iddm_cli.runs.registry import create_run
from iddm_cli.runs.run import encode_json
from iddm_cli.value_range import ValueRange
from iddm_cli.workflows.models import find_model
from iddm_cli.workflows.sampling.guiding import (
    check_scale,
    find_guiding_model,
    list_differences,
    parse_guide,
)
from iddm_cli.workflows.sampling.sampling_precision import list_facts
from iddm_cli.workflows.sampling.sampling_profile import load_sampling_profile
from tests.build.profiles import tiny_profile
from tests.export.conftest import trained
from tests.export.latent_models import latent

GIVEN = {"--sampler sampling.sampler": None}


def add_run(folder: Path, name: str, *steps: int, classes=("cat", "dog"), values=None, **tables):
    """Create a run with checkpoints whose weights differ by run and step."""
    dataset = {"classes": dict.fromkeys(classes, 3)} | ({"values": values} if values else {})
    files = {
        "profile.yaml": dump_profile(tiny_profile(**tables)).encode(),
        "dataset.json": encode_json(dataset),
        "run.json": encode_json({"updated": "2026"}),
    }
    create_run(folder, name, files)
    for step in steps:
        tensors = {part: {"w": torch.full((2,), float(step + len(name)))} for part in PARTS}
        CheckpointFolder(folder / name / "checkpoints").save(step, tensors, STATE)


PARTS = ("model", "average", "optimizer")
STATE = {"bits": {}, "scaler": {}, "metrics": {}}


@pytest.fixture
def runs(tmp_path) -> Path:
    add_run(tmp_path, "first", 10, 20, 30)
    return tmp_path


def find(runs: Path, text: str | None):
    model = find_model(runs, "first")
    profile = load_sampling_profile(model, GIVEN)
    return find_guiding_model(text, model, profile, model.open_weights(None, "average"), runs)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("@500", ("", 500)),
        ("@step-00000500", ("", 500)),
        ("@best", ("", "best")),
        ("first@500", ("first", 500)),
        ("first@last", ("first", None)),
        ("first", ("first", None)),
        ("me@host/runs/first", ("me@host/runs/first", None)),
    ],
)
def test_it_names_a_run_a_checkpoint_or_both(text, wanted):
    assert parse_guide(text) == wanted


@pytest.mark.parametrize("text", ["", "@", "@last", "@5.5", "@-3"])
def test_what_names_nothing_is_refused_with_the_forms_there_are(text):
    with pytest.raises(UsageError, match="names no model") as error:
        parse_guide(text)
    assert "@STEP for an earlier checkpoint" in error.value.hint


def test_an_earlier_checkpoint_or_another_network_guides(runs):
    assert find(runs, None) is None
    own = find(runs, "@10")
    assert (own.name, own.source.step) == ("first@10", 10)
    small = {"model": {**tiny_profile().model.model_dump(), "base_channels": 4}}
    add_run(runs, "small", 5, diffusion={"prediction": "v"}, **small)
    other = find(runs, "small")
    assert (other.name, other.profile.model.base_channels) == ("small@5", 4)
    model = find_model(runs, "first")
    profile = load_sampling_profile(model, GIVEN)
    source = model.open_weights(None, "average")
    facts = [
        repr(list_facts(model, profile, source, guide))
        for guide in (None, own, find(runs, "@20"), other)
    ]
    assert len(set(facts)) == 4, "recorded precisions and cached images are of one guide"


def test_a_checkpoint_that_was_deleted_is_refused_with_those_there_are(runs):
    with pytest.raises(
        CheckpointError, match="--guide-with @15: no checkpoint of step 15"
    ) as error:
        find(runs, "@15")
    assert error.value.hint == "Available steps: 10, 20, 30."
    with pytest.raises(RunError, match="--guide-with frist@10: no run"):
        find(runs, "frist@10")


def test_what_generates_cannot_guide_itself(runs):
    for text in ("first", "first@30", "@30"):
        with pytest.raises(UsageError, match="first@30 is the model that generates") as error:
            find(runs, text)
        assert "Available steps: 10, 20, 30." in error.value.hint


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"data": {"channels": 1, "image_size": [8, 16]}},
         "its image size is 8x16, not 16x16, and it has 1 channels, not 3"),
        ({"diffusion": {"schedule": "cosine", "timesteps": 50}},
         "its diffusion.schedule is cosine, not linear, and its diffusion.timesteps is 50, "
         "not 1000"),
        ({"diffusion": {"noise_shift": 2.0, "zero_terminal_snr": True, "prediction": "v"}},
         "its diffusion.noise_shift is 2.0, not 1.0, and its diffusion.zero_terminal_snr is true, "
         "not false"),
        ({"data": {"channels": 3, "image_size": 16, "crop": 16, "crop_position": True}},
         "only one of them knows the positions of crops"),
        ({"classes": ()}, "it has no classes, not 2"),
        ({"classes": ("cat", "cow")}, "its class 1 is cow, not dog"),
        ({"values": ValueRange("uint16", (0.0,), (900.0,)).to_json()},
         "its values are 0 to 900 (uint16), not 0 to 255 (uint8)"),
    ],
)  # fmt: skip
def test_a_model_that_does_not_match_is_refused_with_all_that_differs(runs, changes, reasons):
    add_run(runs, "other", 5, **changes)
    with pytest.raises(UsageError) as error:
        find(runs, "other")
    assert error.value.problem == (f"--guide-with other: other@5 cannot guide first: {reasons}")


def test_an_exported_file_may_guide(runs):
    path = runs / "weak.safetensors"
    path.write_bytes(build_safetensors(trained(data={"image_size": 16})))
    assert find(runs, str(path)).name == "weak.safetensors@500"
    with pytest.raises(UsageError, match="holds the weights of step 500 only"):
        find(runs, f"{path}@400")


def test_a_scale_of_1_has_no_effect(runs):
    check_scale(None, 1.0)
    check_scale(find(runs, "@10"), 2.0)
    with pytest.raises(UsageError, match=r"--guide-with first@10 has no effect") as error:
        check_scale(find(runs, "@10"), 1.0)
    assert "--guidance 2" in error.value.hint


def test_autoguidance_needs_no_training_without_labels(tmp_path):
    add_run(tmp_path, "first", 10, training={"label_drop": 0.0}, sampling={"guidance": 1.0})
    model = find_model(tmp_path, "first")
    given = GIVEN | {"--guidance sampling.guidance": 2.0}
    with pytest.raises(ProfileError, match=r"guidance needs training\.label_drop above 0"):
        load_sampling_profile(model, given)
    assert load_sampling_profile(model, given, autoguided=True).sampling.guidance == 2.0
    given["--guidance sampling.guidance"] = 2000.0
    with pytest.raises(ProfileError, match=r"--guidance: .*1000"):
        load_sampling_profile(model, given, autoguided=True)


def test_latents_are_the_same_by_their_autoencoder_and_scale(tmp_path):
    model = latent()
    scale = LatentScale((0.0, 0.0, 0.0), (0.5, 0.3, 0.4))
    other = replace(model, latents=replace(model.latents, scale=scale))
    found = []
    for name, each in (("first", model), ("same", model), ("other", other)):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(build_safetensors(each))
        source = find_model(None, str(path))
        found.append((source, source.load_profile([])))
    assert list(list_differences(*found[0], *found[1])) == []
    assert list(list_differences(*found[0], *found[2])) == ["it was trained on other latents"]
