"""Exporting through the command: what is there stays, and a mistake is one sentence."""

import json

import pytest

from .conftest import SMOKE

PLAIN = (*SMOKE, "--set", "model.patch_size=1")


@pytest.fixture(scope="module")
def exporting(tmp_path_factory, cache):
    from .conftest import Shell

    shell = Shell(tmp_path_factory.mktemp("export"), cache)
    shell.iddm(*PLAIN, "--name", "first")
    return shell


def test_a_folder_appears_beside_the_user(exporting):
    answer = exporting.iddm("export", "diffusers", "first", "--json")
    told = answer.json()
    assert (told["run"], told["step"], told["format"]) == ("first", 10, "diffusers")
    folder = exporting.folder / "first-diffusers"
    index = json.loads((folder / "model_index.json").read_text())
    assert index["class_names"] == told["classes"]
    assert (folder / "samples.png").is_file()
    assert not [path for path in exporting.folder.iterdir() if path.name.startswith(".partial")]


def test_what_is_there_is_only_replaced_where_that_is_asked_for(exporting):
    words = ("export", "diffusers", "first", "--out", "mine")
    exporting.iddm(*words)
    mark = exporting.folder / "mine" / "mark"
    mark.write_text("x")
    assert "is there already" in exporting.iddm(*words, expect=2).err
    assert mark.exists()
    exporting.iddm(*words, "--overwrite", "--guidance", "1")
    assert not mark.exists()
    index = json.loads((exporting.folder / "mine" / "model_index.json").read_text())
    assert index["guidance_scale"] == 1.0


def test_what_is_no_export_is_left_alone(exporting):
    thesis = exporting.folder / "thesis"
    thesis.mkdir()
    (thesis / "thesis.tex").write_text("x")
    words = ("export", "diffusers", "first", "--out", "thesis", "--overwrite")
    assert "leaves it alone" in exporting.iddm(*words, expect=2).err
    assert [path.name for path in thesis.iterdir()] == ["thesis.tex"]
    (exporting.folder / "file").write_text("x")
    words = ("export", "diffusers", "first", "--out", "file", "--overwrite")
    assert "leaves it alone" in exporting.iddm(*words, expect=2).err
    assert "is a file" in exporting.iddm(*words[:-2], "file/below", expect=2).err


def test_a_checkpoint_and_its_raw_weights_can_be_chosen(exporting):
    words = ("export", "diffusers", "first", "--checkpoint", "5", "--weights", "raw", "--json")
    told = exporting.iddm(*words, "--out", "raw").json()
    assert (told["step"], told["weights"]) == (5, "raw")


def test_mistakes_are_told(exporting):
    assert "no run" in exporting.iddm("export", "diffusers", "no-such", expect=4).err
    assert "no checkpoint of step 7" in exporting.iddm(
        "export", "diffusers", "first", "--checkpoint", "7", "--out", "new", expect=4
    ).err  # fmt: skip
    exporting.iddm(*SMOKE, "--name", "patched", "--set", "model.patch_size=2")
    answer = exporting.iddm("export", "diffusers", "patched", expect=2)
    assert "model.patch_size: 2 has no form in diffusers" in answer.err
    assert not (exporting.folder / "patched-diffusers").exists()
