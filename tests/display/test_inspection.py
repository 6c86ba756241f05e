"""The inspection report on the terminal: complete, in any width, with any file names."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from iddm_cli.data.inspection.report_data import (
    Advice,
    DuplicateGroup,
    Duplicates,
    HistogramBar,
    Inspection,
    SkipReason,
)
from iddm_cli.display.inspection import CLASSES_SHOWN, render_histogram, render_inspection
from iddm_cli.profiles.settings import DataSettings
from tests.data.inspection.images import inspect, save_image

SETTINGS = DataSettings(image_size=8, workers=2)


def shown(found: Inspection, width: int = 80, encoding: str = "utf-8") -> str:
    buffer = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", newline="")
    console = Console(
        file=buffer, width=width, markup=False, highlight=False, emoji=False, soft_wrap=True
    )
    console.print(render_inspection(found))
    buffer.seek(0)
    return buffer.read()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    root = tmp_path_factory.mktemp("set") / "[red]pets"
    for i in range(4):
        save_image(root, f"[bold]cat/{i}.png", (30, 20 + i))
    save_image(root, "dog\x1b[31m/1.png", (200, 20))
    save_image(root, "dog\x1b[31m/\u202egnp.png").write_text("broken")
    again = Image.open(root / "[bold]cat/0.png")
    again.save(root / "dog\x1b[31m/again.png")
    return inspect(root, profile="[mine]", batch_size=3)


def test_everything_is_shown(found: Inspection) -> None:
    text = shown(found, 100)
    for part in (
        "dataset            [red]pets",
        "skipped            1 unreadable, 0 other entries",
        "Shorter side, in pixels",
        "beyond 3:1",
        "Preprocessing with the profile [mine]",
        "8 x 8, colour",
        "epoch       2 steps of 3",
        "header is damaged",
        "[bold]cat/0.png",
        "several classes",
        "! 1 image cannot be read",
        "trainable: 6 images of 2 classes can be used for training.",
    ):
        assert part in text, part
    assert re.search(r"\[bold\]cat +4 +66.7% +█", text)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_it_fits(found: Inspection, width: int) -> None:
    lines = shown(found, width).splitlines()
    tables = [line for line in lines if not line.startswith(("Preprocessing with", "trainable"))]
    assert max(map(len, tables)) <= width


def test_no_name_commands_the_terminal(found: Inspection) -> None:
    bad = "x\x1b[31m\u202ey"
    group = DuplicateGroup([bad], [bad, bad])
    worse = replace(
        found,
        name=bad,
        notes=[bad],
        verdict=bad,
        classes={bad: 1},
        advice=[Advice("hint", bad)],
        faults=[SkipReason(bad, 1, [bad])],
        duplicates=Duplicates(1, 1, [group], complete=True),
        treatment=replace(found.treatment, profile=bad),
    )
    for each in (found, worse):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown(each))
    assert shown(worse).count("x\\x1b[31m\\u202ey") == 9


def test_without_blocks_bars_are_plain(found: Inspection) -> None:
    text = shown(found, encoding="ascii")
    assert "####" in text
    assert text.isascii()


def test_bars_are_as_long_as_their_counts(found: Inspection) -> None:
    buffer = io.StringIO()
    bars = [
        HistogramBar("a", 64),
        HistogramBar("b", 32),
        HistogramBar("c", 1),
        HistogramBar("d", 0),
    ]
    Console(file=buffer, width=80).print(render_histogram(bars, total=97))
    lengths = [line.count("█") for line in buffer.getvalue().splitlines()]
    assert lengths == [32, 16, 0, 0]
    assert "▌" in buffer.getvalue().splitlines()[2], "every count above 0 is visible"
    assert buffer.getvalue().splitlines()[3].split() == ["d", "0", "0.0%"]


def test_of_many_classes_the_first_are_shown(tmp_path: Path) -> None:
    for i in range(CLASSES_SHOWN + 5):
        save_image(tmp_path, f"class{i:02d}/1.png")
    text = shown(inspect(tmp_path))
    assert f"class{CLASSES_SHOWN - 1:02d} " in text
    assert f"class{CLASSES_SHOWN:02d} " not in text
    assert "and 5 more, of 1 to 1; all: --json" in text


def test_nothing_readable_is_short(tmp_path: Path) -> None:
    save_image(tmp_path, "1.png").write_text("broken")
    text = shown(inspect(tmp_path))
    assert "not trainable: None of 1 image can be read." in text
    assert "Shorter side" not in text
