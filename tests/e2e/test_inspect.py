"""`iddm inspect-dataset` as a user runs it."""

import hashlib
import json
import shutil

import pytest
from PIL import Image

from iddm_cli.profiles.settings import LARGEST_SIDE
from tests.hostile import zoo
from tests.hostile.zoo.places import locked

from .conftest import draw_folder


def snapshot(folder) -> dict[str, str]:
    files = sorted(folder.rglob("*"))
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.is_file()}


def test_json_is_the_report_and_nothing_else(shell):
    folder = draw_folder(shell.folder / "set", {"cat": 3, "dog": 2})
    (folder / "dog" / "broken.png").write_text("broken")
    (folder / "dog" / "same.png").write_bytes((folder / "cat" / "0.png").read_bytes())
    before = snapshot(folder)
    answer = shell.iddm("inspect-dataset", "set", "--out", "report", "--json")
    written = (shell.folder / "report" / "report.json").read_text(encoding="utf-8")
    assert answer.json() == json.loads(written)
    assert answer.json()["duplicates"]["across_classes"] == 1
    assert snapshot(folder) == before
    files = {path.name for path in (shell.folder / "report").iterdir()}
    assert files == {"report.json", "report.html", "contact-sheet.png"}
    assert "</html>" in (shell.folder / "report" / "report.html").read_text(encoding="utf-8")
    with Image.open(shell.folder / "report" / "contact-sheet.png") as sheet:
        assert sheet.height > 128


def test_nothing_is_written_into_the_dataset(shell):
    folder = draw_folder(shell.folder / "set", {"cat": 2})
    before = snapshot(folder)
    answer = shell.iddm("inspect-dataset", "set", "--out", "set/cat/new", expect=2)
    assert "is inside the dataset" in answer.err
    assert snapshot(folder) == before
    assert not (folder / "cat" / "new").exists()


def test_unreadable_files_are_reported(shell):
    folder = draw_folder(shell.folder / "set", {"cat": 0})
    for i in range(3):
        (folder / "cat" / f"{i}.png").write_text("broken")
    answer = shell.iddm("inspect-dataset", "set", "--out", "report", expect=3)
    assert "not trainable: None of 3 images can be read." in answer.out
    assert "header is damaged" in answer.out
    assert (shell.folder / "report" / "report.html").is_file()
    report = json.loads((shell.folder / "report" / "report.json").read_text())
    assert (report["trainable"], report["count"], len(report["unreadable"])) == (False, 0, 3)


def test_a_profile_selects_the_preprocessing_and_the_dataset(shell):
    draw_folder(shell.folder / "set", {"cat": 5}, size=(40, 20))
    found = shell.iddm("inspect-dataset", "set", "--profile", "neu-det", "--json").json()
    would = found["treatment"]
    assert (would["profile"], would["height"], would["batch_size"]) == ("neu-det", 64, 32)
    mine = "data: {path: set, image_size: 24, aspect: pad}\ntraining: {batch_size: 2}\n"
    (shell.folder / "mine.yaml").write_text(mine)
    would = shell.iddm("inspect-dataset", "mine.yaml", "--json").json()["treatment"]
    assert (would["profile"], would["height"], would["aspect"]) == ("mine.yaml", 24, "pad")
    assert would["steps_per_epoch"] == 2.5
    plain = shell.iddm("inspect-dataset", "set", "--image-size", "16x48")
    assert "48 x 16, colour" in plain.out
    assert "Preprocessing with the defaults (no profile)" in plain.out
    large = shell.iddm("inspect-dataset", "set", "--image-size", f"1x{LARGEST_SIDE}", "--json")
    assert large.json()["treatment"]["width"] == LARGEST_SIDE


def test_without_a_profile_it_previews_the_one_that_training_would_take(shell):
    draw_folder(shell.folder / "set", {"cat": 5, "dog": 4}, size=(50, 48))
    chosen = shell.iddm("inspect-dataset", "set", "--out", "report", "--json").json()
    assert (chosen["treatment"]["profile"], chosen["treatment"]["height"]) == ("neu-det", 64)
    hint = next(line["text"] for line in chosen["advice"] if "chooses `neu-det`" in line["text"])
    assert "on a GPU" not in hint, "the same there"
    plan = ("train", "--data", "set", "--dry-run", "--device", "cpu")
    assert "profile neu-det, chosen for 9 images" in shell.iddm(*plan).err
    draw_folder(shell.folder / "small", {"cat": 5, "dog": 4}, size=(28, 28))
    small = shell.iddm("inspect-dataset", "small")
    assert "Preprocessing with the profile fashion-mnist" in small.out
    assert "on a GPU `cifar10`" in " ".join(small.out.split())
    demo = shell.iddm("inspect-dataset", "demo", "--json").json()
    assert demo["treatment"]["profile"] == "demo"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "neither a dataset nor a profile"),
        (("a.yaml", "--profile", "demo"), 2, "both profiles"),
        (("demo", "--profile", "nothing"), 2, "no profile"),
        (("no.yaml",), 2, "no profile 'no.yaml'"),
        (("",), 2, "PATH: data.path must be some text"),
        (("demo", "--image-size", "0"), 2, "--image-size 0"),
        (("demo", "--image-size", "big"), 2, "--image-size big"),
        (("demo", "--image-size", "99999"), 2, "--image-size 99999"),
        (("empty",), 3, "contains no image"),
        (("demo", "--out", "file/report"), 3, "--out file/report"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_one_clear_error(shell, words, code, said):
    (shell.folder / "empty").mkdir()
    (shell.folder / "file").touch()
    answer = shell.iddm("inspect-dataset", *words, expect=code)
    assert said in answer.err
    assert answer.out == ""


def test_an_archive_is_inspected_where_it_is(shell):
    folder = draw_folder(shell.folder / "set", {"cat": 3, "dog": 2})
    shutil.make_archive(str(shell.folder / "set"), "zip", folder)
    found = shell.iddm("inspect-dataset", "set.zip", "--json", "--out", "report").json()
    assert found["classes"] == {"cat": 3, "dog": 2}
    assert "cat/0.png" in (shell.folder / "report" / "report.html").read_text(encoding="utf-8")


def test_sixty_columns_and_an_ascii_terminal_are_enough(shell):
    draw_folder(shell.folder / "set", {"ä[bold]": 3, "dog": 2})
    shell.env |= {"COLUMNS": "60", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    out = shell.iddm("inspect-dataset", "set").out
    assert "[bold]" in out
    assert "####" in out


def test_the_hostile_folder_is_inspected(shell):
    hostile = zoo.create_zoo(shell.folder)
    answer = shell.iddm("inspect-dataset", str(hostile.root), "--out", "report", "--json")
    found = answer.json()
    assert found["count"] == len(hostile.used)
    assert len(found["unreadable"]) + len(found["skipped"]) == len(hostile.skipped)
    for path in locked(hostile):
        path.chmod(0o700)
