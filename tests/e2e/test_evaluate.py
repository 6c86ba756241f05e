"""`iddm evaluate`: a run, several settings, two folders; and an error for what cannot be used."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from .conftest import SMOKE, Shell, draw_folder

KEYS = ("mind", "precision", "recall", "density", "coverage", "agreement", "copies")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, cache) -> Shell:
    """A folder with a run named `pets`, trained on `photos`; not to be changed."""
    shell = Shell(tmp_path_factory.mktemp("evaluated"), cache)
    draw_folder(shell.folder / "photos", {"cat": 60, "dog": 40}, size=(16, 16))
    data = ("--data", "photos", "--set", "data.held_out=0.3")
    shell.iddm(*SMOKE, *data, "--name", "pets")
    return shell


def test_a_run_is_measured_and_the_second_call_is_read_from_the_cache(evaluated):
    words = ("evaluate", "pets", "--count", "40", "--steps", "3")
    first = evaluated.iddm(*words, "--json")
    found = first.json()
    assert set(found) >= set(KEYS)
    assert all(isinstance(found[key]["value"], float) for key in KEYS)
    assert found["copies"]["floor"] is not None
    precision = found["settings"]["precision"]
    assert precision in ("fp32", "bf16")
    assert found["settings"] == {
        "precision": precision,
        "run": "pets", "step": 10, "weights": "average", "sampler": "ddim", "steps": 3,
        "time_grid": "trailing",
        "guidance": 2.0, "eta": 0.0, "seed": 0, "noise": "own",
    }  # fmt: skip
    assert found["counts"]["generated"] == 40
    assert sum(found["counts"][key] for key in ("real", "training")) == 100
    assert {name: one["counts"]["generated"] for name, one in found["classes"].items()}.keys() == {
        "cat", "dog",
    }  # fmt: skip
    assert any("few" in text for text in found["warnings"])
    again = evaluated.iddm(*words, "--json")
    assert again.json() == found
    kinds = [entry["kind"] for entry in evaluated.iddm("cache", "--json").json()["entries"]]
    assert {"generated images", "feature network"} <= set(kinds)
    table = evaluated.iddm(*words)
    assert "MIND ↓" in table.out
    assert "warning: 40 images are few" in table.err


def test_settings_are_compared_in_one_table_and_on_a_page(evaluated, tmp_path):
    page = tmp_path / "new" / "report.html"
    lists = ("--steps", "2,3", "--checkpoint", "5,last", "--count", "24")
    answer = evaluated.iddm("evaluate", "pets", *lists, "--out", page)
    rows = re.findall(r"^(step \d+, \d steps) ", answer.out, re.MULTILINE)
    assert rows == ["step 5, 2 steps", "step 5, 3 steps", "step 10, 2 steps", "step 10, 3 steps"]
    content = page.read_text()
    assert re.search(r"<title>\s*Evaluation of pets", content)
    assert 'src="http' not in content
    refused = evaluated.iddm("evaluate", "pets", *lists, "--out", page, expect=2)
    assert "already exists" in refused.err
    several = evaluated.iddm("evaluate", "pets", *lists, "--json", "--no-copies").json()
    assert len(several["evaluations"]) == 4
    assert "copies" not in several["evaluations"][0]


def test_a_folder_of_generated_images_is_compared_with_a_dataset(evaluated):
    shell = evaluated
    shell.iddm("generate", "pets", "--count", "12", "--steps", "2", "--out", "made")
    found = shell.iddm("evaluate", "made", "--against", "photos", "--json").json()
    assert found["counts"] == {"generated": 24, "real": 50, "training": 50}
    assert set(found["classes"]) == {"cat", "dog"}
    draw_folder(shell.folder / "flat", {"": 12}, size=(12, 12))
    flat = shell.iddm("evaluate", "flat", "--against", "photos", "--json").json()
    assert "agreement" not in flat
    assert any("without classes" in text for text in flat["warnings"])


def test_evaluations_during_training_change_no_weights(evaluated):
    data = ("--data", "photos", "--set", "data.held_out=0.3")
    every = ("--set", "evaluation.every=5", "--set", "evaluation.count=24")
    evaluated.iddm(*SMOKE, *data, *every, "--name", "watched")
    runs = evaluated.folder / "runs"
    plain, watched = (
        (runs / name / "checkpoints" / "step-00000010" / "model.safetensors").read_bytes()
        for name in ("pets", "watched")
    )
    assert plain == watched
    lines = (runs / "watched" / "metrics.jsonl").read_text().splitlines()
    measured = {row["step"]: row["mind"] for row in map(json.loads, lines) if "mind" in row}
    assert set(measured) == {5, 10}
    found = evaluated.iddm("evaluate", "watched", "--count", "24", "--json").json()
    assert found["mind"]["value"] == pytest.approx(measured[10], rel=1e-3)


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (("nonsense",), 4, "no run 'nonsense'"),
        (("photos",), 2, "photos is not a run"),
        (("photos", "--against", "photos", "--steps", "5"), 2, "there is nothing to sample"),
        (("empty", "--against", "photos"), 3, "empty"),
        (("one", "--against", "photos"), 3, "has 1 image"),
        (("photos", "--against", "one"), 3, "real images"),
        (("photos", "--against", "nowhere"), 3, "nowhere"),
        (("pets", "--against", "empty"), 3, "empty"),
        (("pets", "--steps", "5;6"), 2, "is not a list of numbers"),
        (("pets", "--steps", "0"), 2, "--steps"),
        (("pets", "--sampler", "dpm"), 2, "there is no such value"),
        (("pets", "--checkpoint", "5,7"), 4, "no checkpoint of step 7"),
        (("pets", "--checkpoint", "first"), 2, "--checkpoint first"),
        (("pets", "--checkpoint", "5,"), 2, "--checkpoint '' is not a step"),
        (("pets", "--image-size", "16"), 2, "--image-size"),
        (("pets", "--filter"), 2, "--filter belongs to --usefulness"),
        (("pets", "--inception-weights", "w"), 2, "--inception-weights belongs to --canonical"),
        (("pets", "--out", "report.txt"), 2, "is not the name of a page"),
        (("pets", "--count", "1"), 2, "--count"),
        (("untrained",), 4, "has no checkpoint"),
        (("flat-run", "--usefulness"), 3, "usefulness needs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_evaluated_is_one_clear_error(evaluated, specimens, words, code, problem):
    answer = evaluated.iddm("evaluate", *words, "--runs-dir", specimens, expect=code)
    assert problem in answer.err
    assert answer.out == ""
    shown = evaluated.iddm("evaluate", *words, "--runs-dir", specimens, "--json", expect=code)
    assert problem in json.loads(shown.out)["error"]["message"]


@pytest.fixture(scope="module")
def specimens(evaluated) -> Path:
    """What cannot be evaluated; returns the folder of runs."""
    folder = evaluated.folder
    (folder / "empty").mkdir()
    (folder / "one").mkdir()
    Image.new("RGB", (16, 16)).save(folder / "one" / "1.png")
    draw_folder(folder / "unsorted", {"": 20}, size=(16, 16))
    evaluated.iddm(*SMOKE, "--data", "unsorted", "--name", "flat-run", "--steps", "2")
    evaluated.iddm(*SMOKE, "--data", "unsorted", "--name", "untrained", "--steps", "2")
    for checkpoint in (folder / "runs" / "untrained" / "checkpoints").iterdir():
        checkpoint.rename(folder / checkpoint.name)
    return folder / "runs"
