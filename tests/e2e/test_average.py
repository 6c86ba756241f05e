"""Averages of a chosen length through the commands: made, generated with, exported."""

import json

from PIL import Image

from .conftest import SMOKE, Shell

STEPS = ("--steps", "33", "--set", "training.checkpoint_every=20", "--batch-size", "2")


def test_averages_are_made_after_training_and_used_like_other_weights(shell: Shell):
    shell.iddm(*SMOKE, *STEPS, "--name", "pets")
    run = shell.folder / "runs/pets"
    names = [path.name for path in sorted((run / "snapshots").iterdir())]
    assert names == [f"step-000000{step}.safetensors" for step in ("08", "16", "24", "32")]
    made = shell.iddm("average", "pets", "--length", "0.06,0.1", "--json").json()
    assert [each["name"] for each in made["averages"]] == ["average-0.06", "average-0.1"]
    assert min(each["similarity"] for each in made["averages"]) > 0.97
    record = run / "averages/average-0.1-step-00000033.json"
    assert json.loads(record.read_text())["combined"][-1]["step"] == 33

    few = ("--weights", "average-0.1", "--count", "1", "--json", "--out")
    images = shell.iddm("generate", "pets", *few, "a").json()
    assert (images["weights"], images["step"]) == ("average-0.1", 33)
    shell.iddm("export", "safetensors", "pets", "--weights", "average-0.1")
    shell.iddm("generate", "pets.safetensors", *few, "b")
    for name in images["images"]:
        a, b = (Image.open(shell.folder / out / name).tobytes() for out in "ab")
        assert a == b

    shell.iddm("resume", "pets", "--steps", "34", "--set", "sampling.weights=average-0.1")
    later = shell.iddm("generate", "pets", *few[2:], "c")
    assert "is of step 33" in later.err
    assert later.json()["step"] == 33


def test_what_cannot_be_averaged_is_refused(shell: Shell):
    shell.iddm(*SMOKE, "--steps", "4", "--set", "training.average_snapshots=0", "--name", "pets")
    assert not (shell.folder / "runs/pets/snapshots").exists()
    refused = shell.iddm("average", "pets", "--length", "0.02", expect=4)
    assert "cannot express length 0.02" in refused.err
    for words, code in (
        (("average", "pets", "--length", "2"), 2),
        (("average", "pets", "--count", "5"), 2),
        (("average", "pets", "--step", "3"), 4),
        (("average", "gone"), 4),
        (("generate", "pets", "--weights", "average-0.1"), 4),
        (("generate", "pets", "--weights", "average-0.10"), 2),
        (("evaluate", "pets", "--weights", "average,best"), 2),
    ):
        assert shell.iddm(*words, expect=code).err.count("error:") == 1
