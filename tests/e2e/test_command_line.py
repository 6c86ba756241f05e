"""The command line: answers at once, and every mistake ends in one clear sentence."""

import json
import subprocess
import sys

import pytest

from .conftest import IDDM, draw_folder

HEAVY = ("torch", "torchvision", "numpy", "diffusers")


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("train", "--help"),
        ("generate", "--help"),
        ("train", "--no-such-option"),
        ("train", "--profile", "no-such-profile"),
        ("train", "--set", "training.lr=fast"),
        ("train", "--profile", "smoke", "--data", "no-such-folder"),
        ("train", "--data", "no-such-folder"),
        ("train", "--image-size", "big"),
        ("train", "--from", "no-such-run"),
        ("resume", "no-such-run"),
        ("generate", "no-such-run"),
        ("import", "--help"),
        ("import", "no-such-file.pt"),
        ("import", ".", "--class-names", "a,a"),
        ("export", "--help"),
        ("export", "onnx", "no-such-run"),
        ("export", "pt2", "no-such.safetensors"),
        ("serve", "--help"),
        ("serve", "no-such-run"),
        ("serve", "--host", "0.0.0.0"),
        ("train", "--profile", "smoke", "--runs-dir", "/dev/null"),
        ("train", "--profile", "smoke", "--max-time", "soon"),
        ("bench", "--help"),
        ("bench", "--profile", "no-such-profile"),
        ("doctor", "--help"),
        ("profiles",),
        ("runs",),
        ("runs", "compare", "a", "b"),
    ],
    ids=" ".join,
)
def test_help_and_mistakes_are_answered_without_torch(shell, words):
    assert not {"torch", "torchvision"} & shell.imported(*words)


def test_help_imports_nothing_heavy(shell):
    assert not set(HEAVY) & shell.imported("--help")


def test_version(shell):
    assert shell.iddm("--version").out.startswith("iddm 0.")


def test_the_module_is_the_command(shell):
    asked = subprocess.run(
        [sys.executable, "-m", "iddm_cli", "--version"], capture_output=True, text=True, check=True
    )
    assert asked.stdout == shell.iddm("--version").out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("train", "--runs-dir", "/dev/null"), 2, "/dev/null is a file, so it cannot hold runs"),
        (("train", "--max-time", "soon"), 2, "--max-time: runtime.max_time must be a time"),
        (("train", "--no-such-option"), 2, "No such option: --no-such-option"),
        (("trian",), 2, "train"),
        (("train", "--profile", "demmo"), 2, "Did you mean demo?"),
        (("train", "--set", "training.learning_rate=1"), 2, "training.lr"),
        (("train", "--set", "training.lr"), 2, "--set"),
        (("train", "--steps", "5", "--epochs", "5"), 2, "--steps and --epochs"),
        (("train", "--image-size", "12x"), 2, "--image-size 12x"),
        (("train", "--image-size", "30", "--profile", "demo"), 2, "divisible"),
        (("train", "--name", "../up"), 2, "'../up' is not a valid run name"),
        (("train", "--device", "gpu"), 2, "--device"),
        (("train", "--device", "cuda:7", "--name", "x"), 2, "--device cuda:7"),
        (("train", "--data", "photos"), 3, "built-in dataset is called photos"),
        (("train", "--profile", "smoke", "--data", "no-such-folder"), 3, "no-such-folder"),
        (("inspect-dataset", "no-such-folder"), 3, "no-such-folder"),
        (("resume",), 4, "there is no run"),
        (("resume", "frist"), 4, "no run 'frist'"),
        (("generate",), 4, "there is no run"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_one_clear_error(shell, words, code, said):
    answer = shell.iddm(*words, expect=code)
    assert answer.err.startswith("error: ")
    assert said in answer.err
    assert answer.out == ""
    assert not (shell.folder / "runs").exists(), "a mistake leaves nothing behind"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("train", "--no-such-option"), 2),
        (("train", "--profile", "no-such-profile"), 2),
        (("inspect-dataset", "no-such-folder"), 3),
        (("generate", "no-such-run"), 4),
    ],
)
def test_an_error_can_be_json(shell, words, code):
    answer = shell.iddm(*words, "--json", expect=code)
    error = json.loads(answer.out)["error"]
    assert error["code"] == code
    assert error["message"]
    assert answer.err == ""


def test_a_reader_that_leaves_early_is_no_error(shell):
    command = f"set -o pipefail; {IDDM} profiles schema | head -n 1"
    asked = subprocess.run(
        ["bash", "-c", command], env=shell.env, capture_output=True, text=True, check=False
    )
    assert asked.stderr == ""
    assert asked.returncode == 0


def test_forty_columns_and_plain_ascii_are_enough(shell):
    shell.env |= {"COLUMNS": "40", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    assert "generate" in shell.iddm("--help").out
    draw_folder(shell.folder / "set", {"ä[bold]": 2})
    shell.iddm("inspect-dataset", "set")


def test_inspect_tells_classes_and_writes_a_contact_sheet(shell):
    draw_folder(shell.folder / "set", {"cat": 3, "dog[bold]": 2})
    (shell.folder / "set" / "cat" / "broken.png").write_bytes(b"no picture")
    answer = shell.iddm("inspect-dataset", "set", "--out", "report")
    assert "dog[bold]" in answer.out
    assert "broken.png" in answer.out
    assert (shell.folder / "report" / "contact-sheet.png").is_file()
    found = shell.iddm("inspect-dataset", "set", "--json").json()
    assert found["classes"] == {"cat": 3, "dog[bold]": 2}
    assert [name for name, _ in found["unreadable"]] == ["cat/broken.png"]


def test_inspect_says_by_its_exit_code_that_a_folder_cannot_be_trained_on(shell):
    (shell.folder / "set").mkdir()
    (shell.folder / "set" / "broken.png").write_bytes(b"no picture")
    shell.iddm("inspect-dataset", "set", expect=3)


def test_profiles_are_listed_shown_and_copied(shell):
    names = {entry["name"] for entry in shell.iddm("profiles", "list", "--json").json()["profiles"]}
    shipped = {"demo", "cifar10", "fashion-mnist", "neu-det", "landscape", "small-set", "smoke"}
    shipped |= {"textures-256", "photos-256"}
    assert shipped | {"ddpm-2020", "edm-2022"} <= names
    shell.iddm("profiles", "copy", "demo", "mine.yaml")
    shown = shell.iddm("profiles", "show", "mine.yaml", "--set", "training.lr=0.5", "--json").json()
    assert shown["training"]["lr"] == 0.5
    shell.iddm("profiles", "copy", "cifar10", "mine.yaml", expect=2)


def test_the_schema_knows_every_section(shell):
    schema = shell.iddm("profiles", "schema").json()
    sections = {"data", "model", "diffusion", "training", "evaluation", "sampling", "runtime"}
    assert set(schema["properties"]) == sections | {"distillation", "transfer"}
