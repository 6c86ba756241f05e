"""The dataset of a training: packed, described in dataset.json, and found from anywhere."""

from pathlib import Path

import pytest
from PIL import Image

from iddm_cli.errors import DatasetError
from iddm_cli.profiles.profile import Profile
from iddm_cli.value_range import EIGHT_BIT
from iddm_cli.workflows.training.data import describe_dataset, prepare_data, with_absolute_data
from tests.workflows.packs import make_pack


def profile_of(path: str) -> Profile:
    return Profile.model_validate({"data": {"path": path, "image_size": 8, "workers": 1}})


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_the_channels_are_those_that_the_images_need(tmp_path, monkeypatch, mode, channels):
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        colour = (200, 0, 0) if mode == "RGB" else 200
        Image.new(mode, (9, 9), colour).save(tmp_path / "pets" / name / "1.png")
    profile, pack = prepare_data(profile_of(str(tmp_path / "pets")))
    assert (profile.data.channels, pack.channels) == (channels, channels)
    assert (pack.count, pack.classes) == (2, ("cat", "dog"))


def test_the_size_of_whole_images_is_recorded_where_positions_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "photographs").mkdir()
    for i in range(3):
        Image.new("L", (9, 12 + i), i).save(tmp_path / "photographs" / f"{i}.png")

    def prepare(**changes):
        data = {"path": str(tmp_path / "photographs"), "crop": 8, "workers": 1, **changes}
        return prepare_data(Profile.model_validate({"data": data}))[0].data.whole_size

    assert prepare() is None
    assert prepare(crop_position=True) == [13, 9]
    assert prepare(crop_position=True, whole_size=[20, 30]) == [20, 30], "as a run recorded it"


def test_a_run_that_was_trained_without_classes_stays_without(tmp_path, monkeypatch):
    """Its table of labels may be one that an older version did not understand."""
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "pets").mkdir()
    for i in range(2):
        Image.new("L", (9, 9), i).save(tmp_path / "pets" / f"{i}.png")
    profile = profile_of(str(tmp_path / "pets"))
    before = prepare_data(profile)[1]
    for table in ("file;label\n0.png;a\n1.png;b\n", "file_name,text\n0.png,a cat\n1.png,a dog\n"):
        (tmp_path / "pets" / "metadata.csv").write_text(table)
        assert prepare_data(profile, known_classes=())[1].digest == before.digest
    with pytest.raises(DatasetError, match=r"metadata\.csv gives no labels"):
        prepare_data(profile)


def test_the_description_is_what_a_resume_compares():
    held_out = make_pack().report_held_out().to_json()
    assert (held_out["count"], held_out["from"]) == (0, "off")
    assert describe_dataset(make_pack(), "pets") == {
        "path": "pets", "digest": "abc", "count": 3, "classes": {"cat": 1, "dog": 2},
        "channels": 1, "values": EIGHT_BIT.to_json(), "height": 8, "width": 8,
        "skipped": [["x.png", "not an image"]],
        "held_out": held_out,
    }  # fmt: skip


def test_a_path_becomes_absolute_and_a_name_stays_a_name(tmp_path, monkeypatch):
    (tmp_path / "pets").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Path(with_absolute_data(profile_of("pets")).data.path) == (tmp_path / "pets").resolve()
    assert with_absolute_data(profile_of("demo")) == profile_of("demo")
