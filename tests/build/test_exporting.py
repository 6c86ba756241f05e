"""Models for export: with the chosen weights, and what the run's files say of their training."""

import json

from iddm_cli.build.exporting import collect_provenance, load_trained_model
from iddm_cli.export.trained_model import Provenance
from iddm_cli.runs.registry import create_run
from iddm_cli.runs.run import encode_json
from tests.build.profiles import tiny_profile
from tests.build.weights import FakeWeights


def test_a_model_has_the_weights_of_its_profile_and_the_step_of_its_source():
    profile = tiny_profile(sampling={"weights": "raw"})
    model = load_trained_model("pets", profile, ("cat", "dog"), FakeWeights(), Provenance())
    assert all((parameter == 2).all() for parameter in model.denoiser.backbone.parameters())
    assert (model.run, model.step, model.weights, model.shape) == ("pets", 7, "raw", (3, 16, 16))


def test_a_model_that_was_augmented_is_exported_as_one_that_was_not():
    profile = tiny_profile(data={"channels": 3, "image_size": 16, "augment": 0.12})
    model = load_trained_model("pets", profile, ("cat", "dog"), FakeWeights(), Provenance())
    assert model.profile == tiny_profile(), "from which the same network is built"
    assert not [name for name in model.denoiser.state_dict() if "augmentation" in name]


def test_the_provenance_is_that_of_the_step_and_not_of_a_later_one(tmp_path):
    files = {
        "profile.yaml": b"",
        "dataset.json": encode_json({"count": 5}),
        "run.json": encode_json({"iddm": "1", "torch": "2", "host": "secret"}),
    }
    run = create_run(tmp_path, "one", files)
    for step in (10, 20, 30):
        run.metrics.append(json.dumps({"step": step, "loss": 1 / step}))
        (run.samples_dir / f"step-{step:08d}.png").write_bytes(b"%d" % step)
    found = collect_provenance(run, 20)
    assert found.metrics == {"step": 20, "loss": 1 / 20}
    assert found.sample_grid == b"20"
    assert (found.dataset, found.versions) == ({"count": 5}, {"iddm": "1", "torch": "2"})
    assert collect_provenance(run, 5) == Provenance({"count": 5}, {}, found.versions, b"")
