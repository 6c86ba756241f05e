"""The page: self-contained, without scripts, and with the content of the inspection."""

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from iddm_cli.data.inspection.scan import scan
from iddm_cli.data.inspection.summary import summarize
from iddm_cli.data.inspection.thumbnails import (
    MAX_CLASS_THUMBNAILS,
    PER_CLASS,
    QUALITY,
    SIDE,
    Thumbnail,
    build_thumbnails,
)
from iddm_cli.data.packs.held_out import HeldOutFacts, HeldOutReport
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.display.html.image_tags import CELL, image_attributes
from iddm_cli.display.report import render_contact_sheet, render_page
from iddm_cli.profiles.settings import DataSettings
from tests.data.inspection.images import save_image
from tests.display.pages import HOSTILE, SCRIPT, Page, check_loads_nothing


def report_of(root: Path, **settings):
    data = DataSettings(**{"image_size": 8, "workers": 2, **settings})
    scanned = scan(FolderSource(root), data)
    found, thumbnails = summarize(scanned, profile="<mine>"), build_thumbnails(scanned)
    return found, thumbnails, render_page(found, thumbnails)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("set") / "<b>pets & more"
    for i in range(3):
        save_image(root, f"{SCRIPT}/script>{i}.png", (20, 30))
        save_image(root, f"{HOSTILE}/{i}.jpg", (300, 200))
    (root / f"{HOSTILE}/same.png").write_bytes((root / f"{SCRIPT}/script>0.png").read_bytes())
    save_image(root, f"{HOSTILE}/{HOSTILE}.png").write_text("broken")
    return report_of(root)


@pytest.fixture(scope="module")
def read(made) -> Page:
    return Page(made[2])


def test_it_is_a_page(made, read):
    assert made[2].startswith("<!doctype html>")
    assert [tag for tag, _ in read.tags].count("html") == 1
    assert {"title", "style", "main", "h1", "svg", "table"} <= {tag for tag, _ in read.tags}


def test_it_loads_nothing_and_runs_nothing(made):
    check_loads_nothing(made[2])


def test_hostile_names_are_only_words(made, read):
    assert "<script" not in made[2]
    assert "onerror=alert(1)>" not in made[2].replace("&gt;", "")
    for name in (SCRIPT, HOSTILE, "<b>pets & more", "Preprocessing with the profile <mine>"):
        assert name in read.text
    images = [attributes for tag, attributes in read.tags if tag == "img"]
    assert {f"{SCRIPT}/script>0.png", f"{HOSTILE}/0.jpg"} <= {image["alt"] for image in images}


def test_it_has_the_content_of_the_inspection(made, read):
    found = made[0]
    assert "Trainable" in read.text
    assert found.verdict in read.text
    for advice in found.advice:
        assert advice.text.replace("`", "").split(":")[-1] in read.text
    assert "in 2 classes" in read.text
    assert "header is damaged" in read.text


def test_images_are_those_of_the_thumbnail_set(made, read):
    sources = [attributes["src"] for tag, attributes in read.tags if tag == "img"]
    for row in made[1].classes:
        for small in row:
            assert (
                f"data:image/{small.format};base64,{base64.b64encode(small.content).decode()}"
                in (sources)
            )
    for source in sources:
        with Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) as image:
            assert max(image.size) <= 128


def test_tiny_images_grow_by_whole_factors_and_stay_sharp(made):
    tiny = made[1].classes[1][0]
    assert (tiny.width, tiny.height) == (20, 30)
    shown = image_attributes(tiny)
    assert (shown["width"], shown["height"], shown["sharp"]) == (40, 60, True)
    large = image_attributes(made[1].classes[0][0])
    assert (large["width"], large["height"], large["sharp"]) == (CELL, 48, False)


def test_dark_phones_and_paper_are_thought_of(made):
    for rule in ("prefers-color-scheme: dark", "max-width: 640px", "@media print", "viewport"):
        assert rule in made[2]


def test_the_contact_sheet_has_a_row_for_each_class(made):
    found, thumbnails, _ = made
    sheet = render_contact_sheet(found, thumbnails)
    one = render_contact_sheet(replace(found, classes={HOSTILE: 3}), thumbnails)
    assert 1.8 * one.height < sheet.height < 2 * one.height
    assert sheet.width > 4 * 64


def test_a_set_without_classes_and_one_that_cannot_be_read(tmp_path):
    save_image(tmp_path / "flat", "1.png")
    found, thumbnails, text = report_of(tmp_path / "flat")
    assert "1 without classes" in Page(text).text
    assert render_contact_sheet(found, thumbnails).height >= 64
    save_image(tmp_path / "broken", "1.png").write_text("broken")
    found, _, text = report_of(tmp_path / "broken")
    assert "Not trainable" in Page(text).text
    assert json.dumps(found.to_json())


def test_a_thousand_classes_stay_small(made):
    """Even of pure noise, which no format makes small."""
    buffer = io.BytesIO()
    Image.effect_noise((SIDE, SIDE), 90).convert("RGB").save(buffer, "webp", quality=QUALITY)
    noise = Thumbnail("noise.png", buffer.getvalue(), "webp", SIDE, SIDE)
    found = replace(made[0], classes={f"{i:04d}": 1 for i in range(1000)})
    each = max(1, min(PER_CLASS, MAX_CLASS_THUMBNAILS // 1000))
    text = render_page(found, replace(made[1], classes=[[noise] * each] * 1000))
    assert text.count("noise.png") >= 1000
    assert len(text) < 20 * 2**20


def test_held_out_images_are_counted_in_all_and_of_each_class(made):
    found, thumbnails, _ = made
    first = next(iter(found.classes))
    facts = HeldOutFacts("<i>val")
    report = HeldOutReport(facts, found.count, count=7, classes={first: 7})
    text = Page(render_page(replace(found, held_out=report), thumbnails)).text
    assert "Held out: 7 images of <i>val." in text
    assert f"{found.classes[first]} trained on, 7 held out" in text
    assert "Held out: none: 2 of 2 classes have fewer than 10 images" in Page(made[2]).text
