"""Hostile names: of runs, and of classes that become folders."""

import json
import os
import shutil
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iddm_cli.errors import UsageError
from iddm_cli.runs.registry import check_run_name
from iddm_cli.workflows.generating.number_lists import check_total
from iddm_cli.workflows.generating.output.file_names import MAX_NAME_BYTES, class_folder_name
from iddm_cli.workflows.generating.output.output_layout import OutputLayout

from .conftest import check_refusal, fuzzed

NOT_RUNS = {
    "nothing": "",
    "here": ".",
    "up": "..",
    "up and away": "../x",
    "root": "/",
    "inside": "a/b",
    "Windows' way": "a\\b",
    "a drive": "c:",
    "a stream": "a:b",
    "NUL": "a\0b",
    "300 bytes": "x" * 300,
    "65 characters": "x" * 65,
    "an option": "-x",
    "hidden": ".x",
    "home": "~",
    "a device": "con",
    "a device's file": "CON.txt",
    "a port": "Lpt9",
    "a device on Windows": "nul.tar.gz",
    "a dot at the end": "a.",
    "a space at the end": "a ",
    "a space": "a b",
    "a line": "a\nb",
    "a line at the end": "a\n",
    "a tab": "a\tb",
    "an escape": "\x1b[31m",
    "a wildcard": "a*",
    "a Cyrillic а": "\u0430bc",
    "wide letters": "ｃｏｎ",
    "a digit of Arabic": "run-٣",
    "turned around": "a\u202eb",
    "no width": "a\u200bb",
    "an accent": "é",
    "half a letter": "\udcff",
}

RUNS = ["a", "A", "0", "demo-20261124-035420", "a.b", "a_b", "console", "com", "com10", "x" * 64]

CLASSES = {
    "nothing": "",
    "here": ".",
    "up": "..",
    "up and away": "../../etc/passwd",
    "root": "/etc",
    "inside": "a/b",
    "slash at the end": "a/",
    "NUL": "a\0b",
    "half a letter": "\ud800",
    "the grid": "grid.png",
    "the manifest": "Manifest.JSON",
    "250 characters": "x" * 250,
    "5,000 characters": "x" * 5000,
    "3,000 bytes": "猫" * 1000,
    "4,000 bytes": "😀" * 1000,
}

TEXT = st.text(st.characters(exclude_categories=()), max_size=400)
PIECES = st.sampled_from(["..", ".", "/", "\\", "\0", "con", "nul", ":", "~", "-", "a", "猫", "%"])
NAMES = TEXT | st.lists(PIECES, max_size=8).map("".join) | st.text("abAB019._-", max_size=70)


def is_legal_on_windows(name: str) -> bool:
    """Return whether Windows stores a name unchanged: no device, drive, stream or lost suffix."""
    stem = name.split(".")[0].rstrip(" ").lower()
    devices = {
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"),
    }
    return (
        stem not in devices
        and not name.endswith((" ", "."))
        and not set(name) & {*'<>:"/\\|?*', *map(chr, range(32))}
        and PureWindowsPath(name).name == name
    )


def lies_directly_in(path: Path, folder: Path) -> bool:
    return os.path.normpath(path) == str(path) and path.parent == folder


@pytest.mark.parametrize("name", NOT_RUNS.values(), ids=list(NOT_RUNS))
def test_unsafe_run_names_are_refused(name):
    with pytest.raises(UsageError) as refused:
        check_run_name(name)
    check_refusal(refused.value, code=2)


@pytest.mark.parametrize("name", RUNS)
def test_plain_run_names_are_accepted(name):
    check_run_name(name)


@fuzzed
@given(NAMES)
def test_accepted_run_names_stay_in_their_folder_on_every_system(name):
    try:
        check_run_name(name)
    except UsageError as error:
        assert error.exit_code == 2
        return
    assert lies_directly_in(Path("/runs") / name, Path("/runs"))
    assert is_legal_on_windows(name)


@pytest.mark.parametrize("name", CLASSES.values(), ids=list(CLASSES))
def test_a_class_of_any_name_gets_its_own_folder(tmp_path, name):
    layout = OutputLayout(tmp_path / "out", (name, "plain"), [0, 1], "webp", grid=False)
    layout.create_folders()
    file = layout.image_path(0, 999_999)
    temporary = file.with_name(f".partial-4194304-{file.name}")
    temporary.write_bytes(b"x")
    temporary.replace(file)
    assert lies_directly_in(file.parent, tmp_path / "out")
    assert layout.image_path(1, 0) == tmp_path / "out" / "plain" / "plain-000000.webp"
    assert sorted(path.parent.name for path in tmp_path.rglob("*.webp")) == [file.parent.name]


@pytest.mark.parametrize("length", [MAX_NAME_BYTES, MAX_NAME_BYTES + 1, 5000])
def test_long_names_with_a_common_prefix_stay_distinct(length):
    names = ["猫" * (length // 3 - 1) + end for end in ("abc", "abd")]
    folders = {class_folder_name(name, 0) for name in names}
    assert len(folders) == 2
    assert (folders == set(names)) == (len(names[0].encode()) <= MAX_NAME_BYTES)


def test_a_class_cannot_take_the_folder_of_another():
    stolen = class_folder_name("..", 0)
    assert class_folder_name("../", 0) != stolen != class_folder_name("..", 1)


@fuzzed
@given(st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_class_folders_stay_inside_and_distinct(names):
    layout = OutputLayout(Path("/out"), tuple(names), [*range(len(names))], "png", grid=True)
    folders = [layout.image_path(label, 0).parent for label in layout.labels]
    assert all(lies_directly_in(folder, Path("/out")) for folder in folders)
    assert all(lies_directly_in(layout.image_path(n, 0), folders[n]) for n in layout.labels)
    assert all(len(os.fsencode(layout.image_path(n, 0).name)) < 230 for n in layout.labels)
    assert len(set(folders)) == len(names)
    assert not {"grid.png", "manifest.json"} & {folder.name.lower() for folder in folders}


def test_an_excessive_number_of_images_is_refused():
    with pytest.raises(UsageError, match="2,000,000,000,000 images"):
        check_total(2 * 10**12, "--count 1000000000000")


def test_generating_classes_with_hostile_names(trained, shell):
    runs = shell.folder / "runs"
    shutil.copytree(trained.folder / "runs", runs)
    dataset = runs / "first" / "dataset.json"
    known = json.loads(dataset.read_text())
    names = ["..", "猫" * 200, "x" * 5000, "a\nb\x1b[31m", "grid.png", "plain"]
    dataset.write_text(json.dumps(known | {"classes": dict.fromkeys(names, 1)}))
    draw = ("generate", "first", "--count", "1", "--steps", "1", "--out", "new")
    answer = shell.iddm(*draw, "--format", "jpg", "--json").json()
    assert answer["classes"] == names
    assert len({*answer["images"]}) == len(names)
    assert all((shell.folder / "new" / image).is_file() for image in answer["images"])
    assert "plain/plain-000000.jpg" in answer["images"]
    assert sorted(path.name for path in shell.folder.iterdir()) == ["new", "runs"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--class", "9" * 5000), 2, "the run has no such class"),
        (("--checkpoint", "9" * 5000), 2, "is not a step"),
        (("--count", "9" * 12), 2, "images"),
        (("--out", "x" * 5000), 2, "File name too long"),
        (("--out", "/dev/null/x"), 2, "Not a directory"),
        (("--guidance", "1e400"), 2, "must be a finite number"),
    ],
)
def test_hostile_arguments_of_generate_are_refused(trained, shell, words, code, said):
    runs = ("--runs-dir", trained.folder / "runs")
    answer = shell.iddm("generate", "first", *runs, *words, expect=code)
    assert answer.err.startswith("error: ")
    assert said in answer.err
