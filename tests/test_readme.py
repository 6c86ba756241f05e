"""The README: every command runs, the settings reference is up to date, every link has a target."""

import re
import shlex
import shutil
import string
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path

import pytest
import torch
from PIL import Image

from .e2e.conftest import Shell, draw_folder
from .importing.upstream import today, weights

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
COMMANDS = [line.strip() for line in TEXT.splitlines() if line.startswith("    iddm ")]
EVALUATING = (README.parent / "docs" / "evaluating.md").read_text(encoding="utf-8")
EVALUATIONS = re.findall(r"^    (iddm evaluate .*)", EVALUATING, re.MULTILINE)
SAMPLING = re.findall(
    r"^    (iddm .*)",
    (README.parent / "docs" / "sampling.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
MANY = re.findall(
    r"^    (iddm generate .*)",
    (README.parent / "docs" / "many-processes.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
MACHINES = re.findall(
    r"(?:^    |&& |- )(iddm (?:generate|train) [^\n\"]*)",
    (README.parent / "docs" / "many-machines.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
TASK = {"i": "3", "JOB_COMPLETION_INDEX": "15", "SLURM_ARRAY_TASK_ID": "2"}
"""What a loop, Kubernetes and SLURM tell a share."""
RECIPES = (README.parent / "docs" / "recipes.md").read_text(encoding="utf-8")
TRANSFER_PART = RECIPES.partition("## From a trained run")[2].partition("\n## ")[0]
TRANSFERS = re.findall(r"^    (iddm .*)", TRANSFER_PART, re.MULTILINE)
LARGER = re.findall(
    r"^    (iddm .*)",
    (README.parent / "docs" / "larger-images.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
AVERAGE_PART = RECIPES.partition("## Average of the weights")[2].partition("\n## ")[0]
AVERAGES = re.findall(r"^    (iddm .*)", AVERAGE_PART, re.MULTILINE)

# Options that make a network of a few thousand parameters; every other setting stays the profile's.
SMALL_NETWORK = shlex.split(
    "--set model.base_channels=8 --set model.channel_multipliers=[1,2] --set model.norm_groups=4"
    " --set model.attention_levels=[1] --set model.head_channels=8 --set model.blocks_per_level=1"
    " --set training.sample_count=1 --set sampling.steps=2 --set runtime.threads=1"
)


SMALL_AUTOENCODER = shlex.split(
    "--image-size 16 --set model.base_channels=8 --set model.norm_groups=4"
    " --set training.sample_count=1 --set runtime.threads=1"
)


def shorten(command: str) -> list[str]:
    """Return the arguments of a command, with training reduced to a small network and few steps."""
    words = shlex.split(string.Template(command).safe_substitute(TASK))[1:]
    if words[0] == "train":
        if "--epochs" in words:
            words[words.index("--epochs") + 1] = "1"
            return [*words, *SMALL_NETWORK, "--batch-size", "24" if "photos" in words else "3000"]
        small = SMALL_AUTOENCODER if "autoencoder" in words else SMALL_NETWORK
        small_images = {"textures-256", "model.condition=low_resolution"} & set(words)
        crop = ["--image-size", "16"] if small_images else []
        return [*words, *crop, *small, "--batch-size", "4", "--steps", "2"]
    if words[0] == "distill":
        return [*words, "--steps", "2"]
    if "--steps" in words and words[0] == "resume":
        words[words.index("--steps") + 1] = "3"
    if words[0] in ("resume", "generate") and "steel" in words:  # 24 million parameters
        few = ["--set", "training.batch_size=2"] if words[0] == "resume" else ["--steps", "2"]
        return [*words, *few]
    if words[0] == "tune-sampler":
        return [*words, "--noises", "16"]
    if words[0] == "average":
        return [word for word in words if word != "--choose"]  # too few photos are held out
    if words[0] == "bench":
        return [*words, *SMALL_NETWORK, "--seconds", "1"]
    if words[0] == "evaluate":
        # Classifiers take minutes; the run of the README takes the place of others.
        replaced = {"--usefulness": "--overwrite", "careful": "first", "100,last": "2,last"}
        return [*(replaced.get(word, word) for word in words), "--count", "20", "--overwrite"]
    if words[0] == "generate":
        if "--devices" in words:
            words[words.index("--devices") :] = ["--device", "cpu", "--devices", "2"]
        if "200" in words:
            words[words.index("200")] = "5"
        replaced = {"@1000": "@2", "512x768": "24x40", "300x1000": "20x36"}
        return [replaced.get(word, word) for word in words]
    return words


def extract_scripts(text: str) -> list[str]:
    """Return the Python scripts of a page: indented blocks that begin with an import."""
    blocks = re.findall(r"^    (?:import|from) .*\n(?:    .*\n|\n(?=    ))*", text, re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


def start_and_stop_server(shell: Shell, command: str) -> None:
    """Start a server, wait until it is ready, and stop it with SIGTERM."""
    process = shell.start(*shlex.split(command)[1:], "--port", "0")
    with process, process.stdout:
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}ready", timeout=30) as response:
            assert response.status == 200
        process.terminate()
        assert process.wait(30) == 143


@pytest.mark.timeout(900)  # all commands, one after another
def test_every_command_runs(tmp_path_factory):
    shell = Shell(tmp_path_factory.mktemp("readme"), tmp_path_factory.mktemp("cache"))
    draw_folder(shell.folder / "photos", {"cat": 12, "dog": 11}, size=(28, 28))
    draw_folder(shell.folder / "photographs", {"wood": 3, "steel": 3}, size=(48, 40))
    state = weights()
    torch.save(today(state, state, image_size=[8, 8]), shell.folder / "ckpt_last.pt")
    assert len(COMMANDS) > 10
    assert len(EVALUATIONS) > 4
    assert len(MANY) == 3
    assert len(MACHINES) == 5
    shell.env |= {**TASK, "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "16"}
    Image.new("L", (64, 64), 255).save(shell.folder / "mask.png")
    shutil.copytree(shell.folder / "photos", shell.folder / "restored")
    for command in dict.fromkeys(
        [*COMMANDS, *EVALUATIONS, *SAMPLING, *MANY, *MACHINES, *TRANSFERS, *LARGER, *AVERAGES]
    ):
        if command == "iddm doctor":
            continue  # tests/e2e/test_machine.py calls it
        if command.startswith("iddm serve"):
            start_and_stop_server(shell, command)
        else:
            shell.iddm(*shorten(command))
    assert len(list((shell.folder / "new-cats" / "cat").glob("*.png"))) == 100
    exporting = (README.parent / "docs" / "exporting.md").read_text(encoding="utf-8")
    snippets = [*extract_scripts(TEXT), *extract_scripts(exporting)]
    assert len(snippets) == 3
    for snippet in snippets:
        subprocess.run([sys.executable, "-c", snippet], cwd=shell.folder, check=True)
    images = [f"{number}.png" for number in range(8)] + ["cat.png"]
    assert {Image.open(shell.folder / name).size for name in images} == {(32, 32)}


def test_the_commands_of_distilling_are_those_of_the_readme():
    page = (README.parent / "docs" / "distilling.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    (iddm .*)", page, re.MULTILINE)
    assert len(commands) == 2
    assert set(commands) <= set(COMMANDS)


def test_the_first_two_commands_set_up_and_train_or_test():
    setup = [line.strip() for line in TEXT.splitlines() if line.startswith("    python3 -m venv")]
    main, test = (line.split(" && ") for line in setup)
    assert main[-2:] == ["pip install .", "iddm train --profile demo"]
    assert test[-2:] == ["pip install '.[test]'", "pytest"]


def test_the_settings_reference_is_up_to_date():
    from iddm_cli.profiles.writing import render_reference

    shown = re.search(r"<!-- reference: begin -->\n(.*)<!-- reference: end -->", TEXT, re.DOTALL)
    assert shown, "README must contain the reference markers"
    assert shown[1].strip() == render_reference().strip(), "update it with: iddm profiles reference"


@pytest.mark.parametrize("name", re.findall(r"\]\((?!http)([^)#]+)\)", TEXT))
def test_every_link_has_a_target(name):
    assert (README.parent / name).is_file()


def test_every_path_on_the_map_exists():
    paths = re.findall(r"^    ((?:iddm_cli|tests)/\S*)", TEXT, re.MULTILINE)
    assert len(paths) > 8
    assert [path for path in paths if not (README.parent / path).exists()] == []
