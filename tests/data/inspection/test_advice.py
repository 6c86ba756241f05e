"""Advice and verdict: what is said about sets whose faults are known."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from iddm_cli.data.inspection.advice import list_names, suggest_image_size
from iddm_cli.data.inspection.report_data import (
    Inspection,
    Spread,
)

from .images import inspect, save_image


def advice_of(found: Inspection) -> str:
    return "\n".join(advice.text for advice in found.advice)


def test_advice_on_faults(found: Inspection) -> None:
    advice = advice_of(found)
    assert "4 images cannot be read (`dog/broken0.png`, `dog/broken1.png`" in advice
    assert "1 image of one colour (`dog/9.png`)" in advice
    assert "1 group of equal images in more than one class (such as `cat/1.png`" in advice
    assert "1 group of equal images (such as `cat/2.png` and `cat/6.png`)" in advice
    assert "2 classes have fewer than 50 images (`dog` 5, `cat` 6)" in advice
    assert "1 file of several frames or pages" in advice
    assert "1 image with transparency: transparent pixels become white" in advice
    assert "1 image of more than 8 bits reduced to 8, as the others." in advice
    assert "3 images of 11 are grey, the others in colour" in advice
    levels = [advice.level for advice in found.advice]
    assert levels == sorted(levels, reverse=True), "warnings come first"


def test_a_sound_set_gets_no_advice(tmp_path: Path) -> None:
    for i in range(100):
        save_image(tmp_path, f"{'ab'[i % 2]}/{i}.png")
    assert inspect(tmp_path).advice == []


def test_advice_on_few_images_and_imbalance(tmp_path: Path) -> None:
    for i in range(60):
        save_image(tmp_path, f"many/{i}.png")
    for i in range(6):
        save_image(tmp_path, f"pits/{i}.png")
    save_image(tmp_path, "none/0.png").write_text("broken")
    advice = advice_of(inspect(tmp_path))
    assert "Class `pits` has 6 images: a network memorizes so few instead of generalizing" in advice
    assert "`many` has 60 images and `pits` 6: quality will be lower for the rare class" in advice
    assert "No image of `none` can be read" in advice


def test_no_advice_on_classes_without_class_conditional_training(tmp_path: Path) -> None:
    for i in range(70):
        save_image(tmp_path, f"many/{i}.png")
    save_image(tmp_path, "few/0.png")
    shutil.copy(tmp_path / "many/0.png", tmp_path / "few/1.png")
    assert "their labels contradict each other" in advice_of(inspect(tmp_path))
    found = inspect(tmp_path, conditional=False)
    assert found.verdict == "72 images, without classes, can be used for training."
    assert [line.text.split(" (")[0] for line in found.advice] == ["1 group of equal images"]


def test_advice_on_size_and_shape(oblong: Path) -> None:
    larger = advice_of(inspect(oblong, image_size=64))
    assert "3 images would be enlarged, 6.4 times at the median" in larger
    assert "data.image_size 8 fits" in larger or "data.image_size 16 fits" in larger
    assert "keeps 58% of the images' area on average, 25% at worst: data.aspect pad" in larger
    assert "42% of the training pixels would be padding" in advice_of(inspect(oblong, aspect="pad"))
    assert "stretches one side 2.3 times more" in advice_of(inspect(oblong, aspect="squash"))
    assert "enlarged" not in advice_of(inspect(oblong, image_size=8))
    assert "data.image_size 8 would show more" in advice_of(inspect(oblong, image_size=4))
    assert "A batch of 64 is more than all 3 images" in larger


@pytest.mark.parametrize(("median", "size"), [(1, 8), (28, 32), (200, 200), (67, 64), (999, 256)])
def test_the_suggested_size_fits_every_network(median: int, size: int) -> None:
    assert suggest_image_size(median) == size


def test_advice_on_colour(tmp_path: Path) -> None:
    save_image(tmp_path, "1.png", mode="L")
    found = inspect(tmp_path)
    assert "Every image is grey: data.channels auto chooses 1." in advice_of(found)
    assert (found.treatment.channels, found.values.channels) == (1, ["grey"])
    assert "set data.channels to auto" in advice_of(inspect(tmp_path, channels=3))
    Image.open(tmp_path / "1.png").convert("RGB").save(tmp_path / "1.png")
    assert "Every image is grey, though stored as colour" in advice_of(inspect(tmp_path))
    save_image(tmp_path, "2.png")
    assert "the colours of 1 image are dropped" in advice_of(inspect(tmp_path, channels=1))
    assert "There are no classes" in advice_of(inspect(tmp_path))
    assert "There are 2 images in all" in advice_of(inspect(tmp_path))


def test_the_first_of_many_names_are_listed() -> None:
    assert list_names(["a", "b"]) == "`a`, `b`"
    assert list_names([*"abcde"]) == "`a`, `b`, `c` and 2 more"


def test_nothing_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_text("broken")
    found = inspect(tmp_path)
    assert (found.trainable, found.count) == (False, 0)
    assert found.verdict == "None of 1 image can be read."
    assert found.sizes.width == Spread(0, 0, 0)
    assert found.treatment.pack_bytes == 0
    json.dumps(found.to_json(), allow_nan=False)


def test_what_the_profile_forbids_is_not_trainable(tmp_path: Path) -> None:
    save_image(tmp_path, "1.png")
    assert inspect(tmp_path, conditional=True).verdict.startswith("data.conditional is true")
    save_image(tmp_path, "2.png").write_text("broken")
    assert inspect(tmp_path).trainable
    found = inspect(tmp_path, on_error="fail")
    assert (found.trainable, "data.on_error is fail" in found.verdict) == (False, True)
