"""The command line for the same images, and the archive of their files."""

import pytest

from iddm_cli.serving.http.answers.job_files import zip_files
from tests.serving.conftest import make_model, serving
from tests.serving.http.calls import generate


@pytest.mark.parametrize("guidance", [2, 0.1, 1.23456789, 1e-7])
def test_the_command_line_has_the_exact_guidance(client, guidance):
    words = generate(client, guidance=guidance).json()["command"].split()
    assert float(words[words.index("--guidance") + 1]) == guidance


def test_the_command_line_selects_a_class_named_all_by_its_index():
    with serving(make_model(classes=("cat", "all"))) as own, own.client() as client:
        command = client.post("/v1/images", json={"class": "all"}).json()["command"]
    assert "--class 1 --count" in command


def test_the_same_files_give_the_same_zip():
    files = {"a.png": b"1", "b.png": b"2"}
    assert zip_files(files) == zip_files(dict(files))
