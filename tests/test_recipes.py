"""The recipes of CONTRIBUTING.md, followed literally: a sampler and a schedule that work."""

import json
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.conftest import Shell
from tests.test_house import COMMANDS

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r" *```python\n *# (iddm_cli/\S+\.py)(?:, in (\w+))?\n(.*?) *```", re.DOTALL)


def read_recipes() -> list[tuple[str, str | None, str]]:
    """Return file, table (None: append to the file) and code of each block."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return [
        (file, table, textwrap.indent(textwrap.dedent(code), "    " if table else ""))
        for file, table, code in BLOCK.findall(text)
        for table in [table or None]
    ]


def follow(package: Path, file: str, table: str | None, code: str) -> None:
    """Follow one step: append a function, or add a row to its table and the name to its Literal."""
    path = package / file
    content = path.read_text()
    if table is None:
        path.write_text(f"{content}\n\n{code}")
        return
    (name,) = re.findall(r'^ *"(\S+)": ', code, re.MULTILINE)[:1]
    key = {"SAMPLERS": "SamplerName", "SCHEDULES": "ScheduleName"}[table]
    content, rows = re.subn(rf"^{table}: .*\{{$", rf"\g<0>\n{code}", content, flags=re.MULTILINE)
    content, names = re.subn(
        rf"^{key} = Literal\[", rf'\g<0>"{name}", ', content, flags=re.MULTILINE
    )
    assert (rows, names) == (1, 1)
    path.write_text(content)


class ExtendedShell(Shell):
    """A shell whose commands are those of the copy of the package."""

    server = None


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Iterator[ExtendedShell]:
    """Yield a shell with a copy of the package that the recipes were followed in."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "iddm_cli", folder / "iddm_cli")
    shutil.copytree(ROOT / "configs", folder / "configs")
    recipes = read_recipes()
    assert [file.rsplit("/", 1)[1] for file, _, _ in recipes] == [
        "dpmpp.py", "choices.py", "schedules.py", "choices.py",
    ]  # fmt: skip
    for recipe in recipes:
        follow(folder, *recipe)
    shell = ExtendedShell(folder, folder / "cache")
    shell.env["PYTHONPATH"] = str(folder)
    yield shell
    if ExtendedShell.server is not None:
        ExtendedShell.server.close()


@pytest.fixture(scope="module")
def trained(extended) -> ExtendedShell:
    extended.iddm("train", "--profile", "smoke", "--name", "new", "--steps", "4",
                  "--set", "diffusion.schedule=straight", "--set", "sampling.sampler=ab2",
                  "--set", "training.sample_every=4")  # fmt: skip
    return extended


def test_the_new_choices_are_in_the_help_and_the_schema(extended):
    assert "ab2" in extended.iddm("generate", "--help").out
    assert "straight" in json.dumps(extended.iddm("profiles", "schema").json())


def test_training_with_them_ends_in_a_sample_grid(trained):
    folder = trained.folder / "runs" / "new"
    assert (folder / "samples" / "step-00000004.png").is_file()
    assert "schedule: straight" in (folder / "profile.yaml").read_text()


def test_generating_with_them(trained):
    out, other = trained.folder / "images", trained.folder / "other"
    document = trained.iddm("generate", "new", "--count", "1", "--out", out, "--json").json()
    assert (document["sampler"], document["steps"], len(document["images"])) == ("ab2", 5, 6)
    trained.iddm("generate", "new", "--count", "1", "--out", other, "--sampler", "ddim")
    images = [Image.open(folder / document["images"][0]).tobytes() for folder in (out, other)]
    assert images[0] != images[1], "the new sampler is not silently another one"


def test_exporting_them_to_onnx_gives_the_same_images(trained):
    file = trained.folder / "new.onnx"
    answer = trained.iddm("export", "onnx", "new", "--out", file)
    assert file.is_file(), answer.err


def test_diffusers_which_has_neither_refuses(trained):
    answer = trained.iddm("export", "diffusers", "new", "--out", "folder", expect=2)
    assert "ab2" in answer.err or "straight" in answer.err
    assert not (trained.folder / "folder").exists()


def test_serving_them(trained):
    command = [sys.executable, "-m", "iddm_cli", "serve", "new", "--port", "0", "--no-auth"]
    server = subprocess.Popen(
        command,
        env=trained.env,
        cwd=trained.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = server.stdout.readline().strip().partition("#")[0].rstrip("/")
        body = json.dumps({"count": 1, "sampler": "ab2", "seed": 0, "class": 0}).encode()
        request = urllib.request.Request(
            f"{url}/v1/images", body, {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            document = json.load(answer)
        assert document["images"]
        assert "ab2" in json.dumps(document)
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=40)


def test_the_checks_of_contributing_are_those_that_run_here():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for check in COMMANDS:
        assert f"{check} &&" in text
    assert "&& pytest\n" in text
    assert "pip install -e '.[test]'\n" in text
