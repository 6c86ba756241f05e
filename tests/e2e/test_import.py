"""Importing through the command: what comes out is a run like any other."""

import json
import os
import shutil

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from diffusers.utils import logging
from safetensors.torch import load_file, save_file

from iddm_cli.profiles.loading import load_profile
from tests.importing.upstream import today, weights

from .conftest import Shell, draw_folder

logging.disable_progress_bar()

SHORT = ("--steps", "1", "--set", "training.batch_size=2", "--set", "training.sample_count=1",
         "--set", "sampling.steps=1", "--set", "runtime.threads=1")  # fmt: skip
CHECKPOINT = "step-00000000"


@pytest.fixture(scope="module")
def place(tmp_path_factory, cache) -> Shell:
    """A folder with images, a model of diffusers, and a checkpoint of IDDM imported as `steel`."""
    shell = Shell(tmp_path_factory.mktemp("import"), cache)
    draw_folder(shell.folder / "photos", {"cat": 2, "dog": 2}, size=(8, 8))
    draw_folder(shell.folder / "others", {"cat": 2, "mouse": 2}, size=(8, 8))
    torch.save(
        today(weights(seed=1), weights(seed=2), image_size=[8, 8]), shell.folder / "ckpt_last.pt"
    )
    small = UNet2DModel(
        sample_size=8, block_out_channels=(8, 16), norm_num_groups=4, layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"), num_class_embeds=2,
    )  # fmt: skip
    DDPMPipeline(small, DDPMScheduler()).save_pretrained(shell.folder / "small")
    shell.iddm("import", "ckpt_last.pt", "--class-names", "dog,cat", "--name", "steel")
    return shell


def tensors(run, part: str, checkpoint: str = CHECKPOINT) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / checkpoint / f"{part}.safetensors")


def test_a_checkpoint_of_iddm_becomes_a_run_that_generates_and_is_trained_further(place):
    run = place.folder / "runs" / "steel"
    assert {path.name for path in run.iterdir()} == {
        "profile.yaml", "dataset.json", "run.json", "samples", "checkpoints"
    }  # fmt: skip
    raw, average = weights(seed=1), weights(seed=2)
    assert all(torch.equal(tensor, raw[name]) for name, tensor in tensors(run, "model").items())
    assert all(torch.equal(t, average[name]) for name, t in tensors(run, "average").items())
    assert not any(tensor.any() for tensor in tensors(run, "optimizer").values())
    assert "imported" in place.iddm("runs").out

    some = ("--class", "cat", "--count", "1", "--steps", "2", "--no-grid")
    place.iddm("generate", "steel", *some, "--out", "drawn")
    assert [path.name for path in (place.folder / "drawn" / "cat").iterdir()] == ["cat-000000.png"]

    told = place.iddm("resume", "steel", expect=3)
    assert "was imported, so it has no images to train on" in told.err
    assert "iddm resume steel --set data.path=FOLDER" in told.err
    told = place.iddm("resume", "steel", "--set", "data.path=others", expect=3)
    assert "has the classes dog, cat, and these images have cat, mouse" in told.err
    told = place.iddm("resume", "steel", "--set", "data.image_size=16", expect=3)
    dataset = json.loads((run / "dataset.json").read_text())
    assert dataset["digest"] is None, "none of this has changed anything"

    answer = place.iddm("resume", "steel", "--set", "data.path=photos", *SHORT)
    assert "from the averaged weights of the imported model, with a new optimizer" in answer.err
    dataset = json.loads((run / "dataset.json").read_text())
    assert dataset["classes"] == {"dog": 2, "cat": 2}
    assert list(dataset["classes"]) == ["dog", "cat"], "indices are still the model's"
    assert dataset["digest"]
    profile = load_profile(str(run / "profile.yaml"), [])
    assert profile.data.path == str(place.folder / "photos")

    learnt = tensors(run, "model", "step-00000001")
    moved = {name: (t - average[name]).abs().max() for name, t in learnt.items()}
    assert max(moved.values()) < 1e-3, "it went on from the average"
    assert max(moved.values()) > 1e-5, "and learnt"
    assert {t.item() for n, t in tensors(run, "optimizer", "step-00000001").items()
            if n.endswith(".step")} == {1.0}  # fmt: skip
    place.iddm("generate", "steel", *some, "--out", "drawn-again")
    again = place.iddm("resume", "steel", "--steps", "2")
    assert "resumed at step 1 of 2" in again.err
    assert "bit for bit" in again.err


def test_labels_are_counted_as_the_model_counts_them(place):
    from iddm_cli.data.packs.builder import build_pack
    from iddm_cli.data.sources.registry import open_source
    from iddm_cli.profiles.settings import DataSettings
    from iddm_cli.workflows.training.attach_dataset import align_classes

    os.environ["IDDM_CACHE_DIR"] = place.env["IDDM_CACHE_DIR"]
    settings = DataSettings(path=str(place.folder / "photos"), image_size=8)
    packed = build_pack(open_source(settings.path, size=(8, 8)), settings)
    turned = align_classes(packed, ("dog", "cat"), "steel")
    names = [packed.classes[label] for label in packed.labels]
    assert [turned.classes[label] for label in turned.labels] == names
    assert turned.class_counts() == [2, 2]
    assert align_classes(packed, packed.classes, "steel") is packed


def test_a_folder_of_diffusers_is_imported_trained_and_exported_again(place):
    told = place.iddm("import", "small", "--name", "small", "--json").json()
    assert (told["run"], told["form"], told["classes"]) == ("small", "diffusers", ["0", "1"])
    assert told["image_size"] == [8, 8]
    assert any("guidance" in record_dataset for record_dataset in told["notes"])
    place.iddm("generate", "small", "--count", "1", "--steps", "2", "--out", "drawn-small")
    place.iddm("export", "diffusers", "small", "--out", "back")
    before, after = (
        load_file(place.folder / name / "unet" / "diffusion_pytorch_model.safetensors")
        for name in ("small", "back")
    )
    table = "class_embedding.weight"
    assert torch.equal(after.pop(table)[:2], before.pop(table))
    assert all(torch.equal(after[name], before[name]) for name in before)
    card = (place.folder / "back" / "README.md").read_text()
    assert "None" not in card
    assert "The training images are unknown" in card
    shutil.copytree(place.folder / "photos" / "cat", place.folder / "numbered" / "0")
    shutil.copytree(place.folder / "photos" / "dog", place.folder / "numbered" / "1")
    flip = ("--set", "data.path=numbered", "--set", "data.horizontal_flip=true")
    place.iddm("resume", "small", *flip, *SHORT)
    told = place.iddm("resume", "small", "--set", "data.horizontal_flip=false", expect=2)
    assert "cannot change once a run has started" in told.err


def test_our_own_file_is_imported(place):
    shell = place
    told = shell.iddm("import", "small", "--name", "mine", "--class-names", "a,b", "--json").json()
    run = shell.folder / told["path"]
    header = {
        "format": 1, "run": "mine", "step": 0, "weights": "average", "classes": ["a", "b"],
        "profile": load_profile(str(run / "profile.yaml"), []).model_dump(), "versions": {},
    }  # fmt: skip
    path = shell.folder / "mine.safetensors"
    save_file(tensors(run, "average"), path, metadata={"iddm": json.dumps(header)})
    again = shell.iddm("import", "mine.safetensors", "--name", "again", "--json").json()
    assert (again["form"], again["classes"]) == ("safetensors", ["a", "b"])
    assert again["parameters"] == told["parameters"]


def test_a_name_is_made_of_the_files_and_nothing_is_replaced_unasked(place):
    told = place.iddm("import", "small", "--json").json()
    assert told["run"].startswith("small-")
    place.iddm("import", "small", "--name", "twice")
    mark = place.folder / "runs" / "twice" / "mark"
    mark.write_text("x")
    assert "already exists" in place.iddm("import", "small", "--name", "twice", expect=4).err
    assert mark.exists()
    place.iddm("import", "small", "--name", "twice", "--overwrite")
    assert not mark.exists()
    written = (place.folder / "runs" / "twice" / "run.json").read_text()
    assert str(place.folder) not in written, "where the file lay is nobody's business"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("missing.pt",), 4, "missing.pt cannot be read: No such file"),
        (("photos",), 4, "is not a folder of diffusers"),
        (("photos/cat/0.png",), 4, "is neither a PyTorch file"),
        (("small", "--class-names", "a,a"), 2, "not a list of distinct names"),
        (("small", "--class-names", "a,b,c"), 2, "gives 3 names, and the model has 2 classes"),
        (("small", "--name", "../up"), 2, "is not a valid run name"),
        (("small", "--activation", "gelu"), 2, "--activation has no effect"),
        (("small", "--schedule", "steep"), 2, "steep"),
        (("small", "--image-size", "7"), 2, "--image-size: an image size of 7 x 7"),
        (("small", "--runs-dir", "/dev/null"), 2, "cannot hold runs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_one_clear_error_and_leaves_nothing(place, words, code, said):
    before = sorted((place.folder / "runs").iterdir())
    answer = place.iddm("import", *words, expect=code)
    assert answer.err.startswith("error: ")
    assert said in answer.err
    assert sorted((place.folder / "runs").iterdir()) == before


def test_a_full_disk_leaves_nothing(place, monkeypatch):
    from iddm_cli import durable
    from iddm_cli.build.importing import import_model
    from iddm_cli.errors import RunError
    from iddm_cli.importing.options import ImportOptions
    from iddm_cli.workflows.importing import create_imported_run

    class Full(durable.Disk):
        def flush(self, handle):
            if "optimizer" in handle.name:
                raise OSError(28, "No space left on device")
            super().flush(handle)

    folder = place.folder / "elsewhere"
    model = import_model(place.folder / "small", ImportOptions())
    monkeypatch.setattr(durable, "disk", Full())
    with pytest.raises(RunError, match="No space left on device"):
        create_imported_run(folder, "full", place.folder / "small", model, overwrite=False)
    assert list(folder.iterdir()) == []


def test_iddms_network_can_be_trained_from_the_start(place):
    words = ("--data", "photos", "--image-size", "8", "--set", "model.network=iddm-unet", *SHORT)
    answer = place.iddm("train", "--profile", "smoke", "--name", "fresh", *words)
    assert answer.out.startswith("runs/fresh/samples/")
    assert tensors(place.folder / "runs" / "fresh", "model", "step-00000001").keys() >= {
        "sa6.mha.in_proj_weight", "condition_adapter.label_emb.weight"
    }  # fmt: skip
