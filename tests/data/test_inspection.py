"""Inspection: what is counted, measured and advised, held against sets whose faults are known."""

import json
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.resize import fit
from iddm_cli.data.inspection import histograms
from iddm_cli.data.inspection.advice import fitting_size, named
from iddm_cli.data.inspection.report_data import Bar, Fault, Inspection, Spread, Twins
from iddm_cli.data.inspection.scan import inspect
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.registry import FolderSource
from iddm_cli.profiles.settings import DataSettings

FASHION = Path(__file__).parents[3] / "shared/data/fashion-mnist-small/train"


def look_at(root: Path, batch_size: int = 64, **settings: Any) -> Inspection:
    data = DataSettings(**{"workers": 2, "image_size": 8, **settings})
    return inspect(FolderSource(root), data, batch_size=batch_size)


def drawn(name: str, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Image.Image:
    """A picture of random pixels, another one for each name."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], bands) if bands > 1 else (size[1], size[0])
    rng = np.random.default_rng(list(name.encode()))
    return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))


def put(root: Path, name: str, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn(name, size, mode).save(path)
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of every kind that is told apart, and each kind of duplicate."""
    root = tmp_path_factory.mktemp("mixed") / "pets"
    put(root, "cat/1.png")
    put(root, "cat/2.png", mode="L")
    put(root, "cat/3.jpg", (40, 20))
    put(root, "cat/5.png")
    put(root, "dog/1.png", (10, 30), "RGBA")
    drawn("cat/2.png", mode="L").convert("RGB").save(root / "cat/6.png")  # equal, though colour
    drawn("cat/1.png").save(root / "cat/7.bmp")
    drawn("cat/1.png").save(root / "dog/8.png")
    Image.new("RGB", (9, 9), (200, 10, 10)).save(root / "dog/9.png")
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(deep).save(root / "dog/deep.png")
    first, second = drawn("a"), drawn("b")
    first.save(root / "dog/moves.gif", save_all=True, append_images=[second])
    for i in range(3):
        (root / f"dog/broken{i}.png").write_text("broken")
    (root / "dog/empty.png").touch()
    (root / "dog/notes.txt").touch()
    (root / "bird").mkdir()
    return root


@pytest.fixture(scope="module")
def found(mixed: Path) -> Inspection:
    return look_at(mixed)


def test_counts(found: Inspection, mixed: Path) -> None:
    assert (found.name, found.place, found.count) == ("pets", str(mixed.resolve()), 11)
    assert found.classes == {"cat": 6, "dog": 5}
    assert found.shares == {"cat": round(6 / 11, 4), "dog": round(5 / 11, 4)}
    assert found.imbalance == 1.2
    pictures = [p for p in mixed.rglob("*.*") if p.suffix != ".txt"]
    assert found.total_bytes == sum(path.stat().st_size for path in pictures)
    assert (found.trainable, found.verdict) == (
        True,
        "11 pictures of 2 classes can be learnt from.",
    )


def test_sizes(found: Inspection) -> None:
    sizes = found.sizes
    assert sizes.width == Spread(8, 8, 40)
    assert sizes.height == Spread(8, 8, 30)
    assert sizes.shorter_side == Spread(8, 8, 20)
    assert sizes.common[0] == (8, 8, 8)
    assert sizes.not_square == 2
    assert sizes.shorter_sides == [Bar("8", 8), Bar("9", 1), Bar("10", 1), Bar("20", 1)]
    assert sum(bar.count for bar in sizes.aspects) == 11


def test_kinds(found: Inspection) -> None:
    kinds = found.kinds
    assert kinds.modes == {"RGB": 7, "L": 1, "RGBA": 1, "I;16": 1, "P": 1}
    assert kinds.formats == {"PNG": 8, "JPEG": 1, "BMP": 1, "GIF": 1}
    assert kinds.suffixes == {".png": 8, ".jpg": 1, ".bmp": 1, ".gif": 1}
    assert (kinds.grey, kinds.grey_stored_as_colour) == (3, 1)
    assert (kinds.transparent, kinds.animated, kinds.sixteen_bit) == (1, 1, 1)
    assert found.constant == ["dog/9.png"]


def test_an_alpha_channel_that_is_full_is_not_transparent(tmp_path: Path) -> None:
    drawn("full").convert("RGBA").save(tmp_path / "full.png")
    Image.new("LA", (8, 8), (9, 255)).save(tmp_path / "grey.png")
    assert look_at(tmp_path).kinds.transparent == 0
    Image.fromarray(np.full((8, 8), 999, np.uint16)).save(tmp_path / "deep.png", transparency=999)
    Image.new("LA", (8, 8), (9, 254)).save(tmp_path / "grey.png")
    assert look_at(tmp_path).kinds.transparent == 2


def test_what_is_left_out_is_grouped_by_reason(found: Inspection) -> None:
    assert [name for name, _ in found.unreadable] == [
        *(f"dog/broken{i}.png" for i in range(3)),
        "dog/empty.png",
    ]
    assert {name for name, _ in found.skipped} == {"bird", "dog/notes.txt"}
    assert found.faults[0].count == 3
    assert found.faults[0].examples == [f"dog/broken{i}.png" for i in range(3)]
    assert Fault("the file is empty", 1, ["dog/empty.png"]) in found.faults
    assert sum(fault.count for fault in found.faults) == 6


def test_equal_pictures_are_told_and_those_across_classes_first(found: Inspection) -> None:
    same = found.duplicates
    assert same.groups == [
        Twins(["cat/1.png", "cat/7.bmp", "dog/8.png"], ["cat", "dog"]),
        Twins(["cat/2.png", "cat/6.png"], ["cat"]),
    ]
    assert (same.count, same.across_classes, same.complete) == (3, 1, True)
    assert found.near_duplicates.groups == []


def test_a_copy_saved_again_is_a_near_duplicate(tmp_path: Path) -> None:
    drawn("x", (6, 6)).resize((64, 64), 3).save(tmp_path / "1.png")
    drawn("x", (6, 6)).resize((64, 64), 3).save(tmp_path / "2.jpg", quality=80)
    drawn("y", (6, 6)).resize((64, 64), 3).save(tmp_path / "3.png")
    found = look_at(tmp_path)
    assert found.near_duplicates.groups == [Twins(["1.png", "2.jpg"], [])]
    assert found.duplicates.count == 0


def test_the_same_values_in_another_shape_are_another_picture(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, 64, dtype=np.uint8)
    Image.fromarray(values.reshape(4, 16)).save(tmp_path / "wide.png")
    Image.fromarray(values.reshape(16, 4)).save(tmp_path / "tall.png")
    assert look_at(tmp_path).duplicates.groups == []


def test_json_says_the_same(found: Inspection) -> None:
    told = json.loads(json.dumps(found.to_json()))
    assert set(told) == {field.name for field in fields(Inspection)}
    assert told["classes"] == {"cat": 6, "dog": 5}
    assert told["sizes"]["width"] == {"smallest": 8, "median": 8, "largest": 40}
    assert told["unreadable"][0][0] == "dog/broken0.png"
    assert told["duplicates"]["groups"][0]["classes"] == ["cat", "dog"]
    assert {"level", "text"} == set(told["advice"][0])


def test_progress_and_result_are_the_same_every_time(mixed: Path, found: Inspection) -> None:
    calls: list[tuple[str, int, int]] = []
    settings = DataSettings(image_size=8, workers=1)
    again = inspect(FolderSource(mixed), settings, progress=lambda *call: calls.append(call))
    assert again == found
    assert ("reading pictures", 15, 15) in calls
    assert calls[-1] == ("comparing pictures", 11, 11)


# --- pixel values ----------------------------------------------------------------------------


@pytest.mark.parametrize("aspect", ["crop", "pad", "squash"])
def test_mean_and_deviation_are_those_of_what_is_learnt(tmp_path: Path, aspect: Any) -> None:
    for i in range(5):
        put(tmp_path, f"{i}.png", (10 + 3 * i, 12), "L" if i == 2 else "RGB")
    found = look_at(tmp_path, aspect=aspect, image_size=[6, 7])
    look = {"size": (6, 7), "channels": 3, "aspect": aspect, "background": "white"}
    pixels = np.stack([fit(Image.open(p), **look) for p in sorted(tmp_path.iterdir())])  # type: ignore[arg-type]
    assert found.values.channels == ["red", "green", "blue"]
    np.testing.assert_allclose(found.values.mean, pixels.mean((0, 1, 2)), atol=1e-3)
    np.testing.assert_allclose(found.values.deviation, pixels.std((0, 1, 2)), atol=1e-3)


def test_they_are_those_of_the_pack(pets: Path, tmp_path: Path) -> None:
    settings = DataSettings(image_size=8, channels=1, workers=2, random_crop=0.8)
    made = build_pack(FolderSource(pets), settings)
    pixels = np.fromfile(made.images_path, np.uint8)
    found = look_at(pets, channels=1, random_crop=0.8)
    assert found.values.channels == ["grey"]
    assert found.values.mean == [pytest.approx(pixels.mean(), abs=1e-3)]
    assert found.values.deviation == [pytest.approx(pixels.std(), abs=1e-3)]
    assert found.treatment.pack_bytes == made.pixels_bytes == len(pixels)
    assert found.treatment.kept == pytest.approx(made.record.looks.shown, abs=1e-3)
    assert found.treatment.enlarged == made.record.looks.enlarged


# --- what a profile would do -----------------------------------------------------------------


@pytest.fixture(scope="module")
def oblong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("oblong")
    for name, size in {"wide": (40, 10), "tall": (8, 16), "square": (16, 16)}.items():
        put(root, f"{name}.png", size)
    return root


def test_cropping_keeps_part_of_the_area(oblong: Path) -> None:
    would = look_at(oblong, batch_size=2, image_size=16).treatment
    assert (would.kept, would.kept_least) == (round((0.25 + 0.5 + 1) / 3, 4), 0.25)
    assert (would.padding, would.distortion_most) == (0, 1)
    assert (would.enlarged, would.enlarged_by) == (2, 1.8)  # 1.6 and 2 times
    assert (would.channels, would.pack_bytes) == (3, 3 * 16 * 16 * 3)
    assert (would.batch_size, would.steps_per_epoch) == (2, 1.5)


def test_padding_fills_the_rest(oblong: Path) -> None:
    would = look_at(oblong, image_size=16, aspect="pad").treatment
    assert (would.padding, would.padding_most) == (round((0.75 + 0.5 + 0) / 3, 4), 0.75)
    assert (would.kept_least, would.enlarged) == (1, 0)


def test_squashing_distorts(oblong: Path) -> None:
    would = look_at(oblong, image_size=16, aspect="squash").treatment
    assert (would.distortion, would.distortion_most) == (round((4 + 2 + 1) / 3, 4), 4)
    assert (would.kept_least, would.padding_most) == (1, 0)


# --- histograms ------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [3, 11, 37, 99, 100, 150, 2000, 16384])
@pytest.mark.parametrize("least", [1, 30])
def test_every_size_falls_into_one_bar_of_its_range(least: int, most: int) -> None:
    rng = np.random.default_rng(most)
    sizes = rng.integers(least, max(most, least) + 1, 500)
    bars = histograms.of_sizes(sizes)
    assert len(bars) <= 16
    assert sum(bar.count for bar in bars) == 500
    for bar in bars:
        low, _, high = bar.label.partition("-")
        assert ((sizes >= int(low)) & (sizes <= int(high or low))).sum() == bar.count


def test_shapes_are_counted_by_their_names() -> None:
    ratios = np.array([0.1, 0.6, 0.7, 1, 1, 1.04, 1.06, 1.9])
    assert [bar for bar in histograms.of_aspects(ratios) if bar.count] == [
        Bar("beyond 1:3", 1),
        Bar("1:2 to 2:3", 1),
        Bar("2:3 to 4:5", 1),
        Bar("square", 3),
        Bar("square to 5:4", 1),
        Bar("3:2 to 2:1", 1),
    ]
    assert histograms.of_aspects(np.array([1.0, 1.0])) == [Bar("square", 2)]


def test_a_turned_picture_falls_into_the_turned_bar() -> None:
    rng = np.random.default_rng(0)
    ratios = np.append(rng.uniform(1, 5, 300), [1.05, 5 / 4, 3 / 2, 2, 3])
    wide = [bar.count for bar in histograms.of_aspects(ratios)]
    tall = [bar.count for bar in histograms.of_aspects(1 / ratios)]
    assert wide == tall[::-1]
    assert histograms.of_aspects(np.array([3.0])) == [Bar("2:1 to 3:1", 1)]


# --- advice ----------------------------------------------------------------------------------


def advised(found: Inspection) -> str:
    return "\n".join(advice.text for advice in found.advice)


def test_advice_on_faults(found: Inspection) -> None:
    advice = advised(found)
    assert "4 pictures cannot be read (`dog/broken0.png`, `dog/broken1.png`" in advice
    assert "1 picture of one colour (`dog/9.png`)" in advice
    assert "1 group of equal pictures in more than one class (such as `cat/1.png`" in advice
    assert "1 group of equal pictures (such as `cat/2.png` and `cat/6.png`)" in advice
    assert "2 classes have fewer than 50 pictures (`dog` 5, `cat` 6)" in advice
    assert "1 file of several frames or pages" in advice
    assert "1 picture with transparency: white stands behind" in advice
    assert "1 picture of 16 bits" in advice
    assert "3 pictures of 11 are grey, the others in colour" in advice
    levels = [advice.level for advice in found.advice]
    assert levels == sorted(levels, reverse=True), "warnings come first"


def test_a_sound_set_gets_no_advice(tmp_path: Path) -> None:
    for i in range(100):
        put(tmp_path, f"{'ab'[i % 2]}/{i}.png")
    assert look_at(tmp_path).advice == []


def test_advice_on_few_pictures_and_imbalance(tmp_path: Path) -> None:
    for i in range(60):
        put(tmp_path, f"many/{i}.png")
    for i in range(6):
        put(tmp_path, f"pits/{i}.png")
    put(tmp_path, "none/0.png").write_text("broken")
    advice = advised(look_at(tmp_path))
    assert "Class `pits` has 6 pictures: so few are memorised rather than learnt" in advice
    assert "`many` has 60 pictures and `pits` 6: the rare class is learnt less well" in advice
    assert "No picture of `none` can be read" in advice


def test_classes_that_are_not_learnt_are_no_matter(tmp_path: Path) -> None:
    for i in range(70):
        put(tmp_path, f"many/{i}.png")
    put(tmp_path, "few/0.png")
    shutil.copy(tmp_path / "many/0.png", tmp_path / "few/1.png")
    assert "such labels contradict each other" in advised(look_at(tmp_path))
    found = look_at(tmp_path, conditional=False)
    assert found.verdict == "72 pictures can be learnt from, without classes."
    assert [line.text.split(" (")[0] for line in found.advice] == ["1 group of equal pictures"]


def test_advice_on_size_and_shape(oblong: Path) -> None:
    larger = advised(look_at(oblong, image_size=64))
    assert "3 pictures would be enlarged, 6.4 times in the middle" in larger
    assert "data.image_size 8 fits" in larger or "data.image_size 16 fits" in larger
    assert "keeps 58% of the pictures' area, of one only 25%: data.aspect pad" in larger
    assert "42% of what is learnt would be padding" in advised(look_at(oblong, aspect="pad"))
    assert "stretches one side 2.3 times more" in advised(look_at(oblong, aspect="squash"))
    assert "enlarged" not in advised(look_at(oblong, image_size=8))
    assert "data.image_size 8 would show more" in advised(look_at(oblong, image_size=4))
    assert "A batch of 64 is more than all 3 pictures" in larger


@pytest.mark.parametrize(("median", "size"), [(1, 8), (28, 32), (200, 200), (67, 64), (999, 256)])
def test_the_size_offered_fits_every_network(median: int, size: int) -> None:
    assert fitting_size(median) == size


def test_advice_on_colour(tmp_path: Path) -> None:
    put(tmp_path, "1.png", mode="L")
    found = look_at(tmp_path)
    assert "Every picture is grey: data.channels auto chooses 1." in advised(found)
    assert (found.treatment.channels, found.values.channels) == (1, ["grey"])
    assert "set data.channels to auto" in advised(look_at(tmp_path, channels=3))
    Image.open(tmp_path / "1.png").convert("RGB").save(tmp_path / "1.png")
    assert "Every picture is grey, though stored as colour" in advised(look_at(tmp_path))
    put(tmp_path, "2.png")
    assert "the colours of 1 picture are dropped" in advised(look_at(tmp_path, channels=1))
    assert "There are no classes" in advised(look_at(tmp_path))
    assert "There are 2 pictures in all" in advised(look_at(tmp_path))


def test_few_of_many_names_are_told() -> None:
    assert named(["a", "b"]) == "`a`, `b`"
    assert named([*"abcde"]) == "`a`, `b`, `c` and 2 more"


# --- trainable or not ------------------------------------------------------------------------


def test_nothing_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_text("broken")
    found = look_at(tmp_path)
    assert (found.trainable, found.count) == (False, 0)
    assert found.verdict == "None of 1 picture can be read."
    assert found.sizes.width == Spread(0, 0, 0)
    assert found.treatment.pack_bytes == 0
    json.dumps(found.to_json(), allow_nan=False)


def test_what_the_profile_does_not_allow_is_not_trainable(tmp_path: Path) -> None:
    put(tmp_path, "1.png")
    assert look_at(tmp_path, conditional=True).verdict.startswith("data.conditional is true")
    put(tmp_path, "2.png").write_text("broken")
    assert look_at(tmp_path).trainable
    found = look_at(tmp_path, on_error="fail")
    assert (found.trainable, "data.on_error is fail" in found.verdict) == (False, True)


def test_every_mode_can_be_looked_at(tmp_path: Path) -> None:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr", "LAB"):
        Image.new(mode, (4, 4)).save(tmp_path / f"{mode}.tif")
    found = look_at(tmp_path)
    assert [name for name, _ in found.unreadable] == ["I.tif"]  # which cannot be trained on
    assert found.count == 11


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs the data beside the repository")
def test_fashion_mnist() -> None:
    found = look_at(FASHION, image_size=28)
    pixels = np.stack([np.asarray(Image.open(path)) for path in FASHION.rglob("*.png")])
    assert found.values.mean == [pytest.approx(pixels.mean(), abs=1e-3)]
    assert found.values.deviation == [pytest.approx(pixels.std(), abs=1e-3)]
    assert (found.count, found.kinds.grey, found.duplicates.count) == (2000, 2000, 0)
    assert list(found.classes.values()) == [200] * 10
