"""Every image below a folder is listed, also those that a dataset would leave out."""

from pathlib import Path

import pytest
from PIL import Image

from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.profiles.settings import DataSettings
from iddm_cli.workflows.upscaling.image_listing import list_every_image


def draw(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(path)


def list_below(folder: Path):
    return list_every_image(folder, "", DataSettings())


def test_images_beside_class_folders_in_masks_and_in_splits_are_listed(tmp_path):
    folder = tmp_path / "photos"
    names = ("a.png", "cat/b.png", "masks/b.png", "val/deep/c.png")
    draw(*(folder / name for name in names))
    files = list_below(folder)
    assert files.names == names
    assert [files.classes[label] for label in files.labels] == ["photos", "cat", "masks", "val"]
    assert all(handle.open().width == 4 for handle in files.handles)


def test_a_flat_folder_and_a_single_image_have_no_class_folders(tmp_path):
    draw(tmp_path / "a.png", tmp_path / "grid.png")
    assert list_below(tmp_path).names == ("a.png", "grid.png")
    assert list_below(tmp_path).classes == ()
    assert list_below(tmp_path / "a.png").names == ("a.png",)


def test_the_overview_of_generated_images_is_not_one_of_them(tmp_path):
    draw(tmp_path / "cat" / "a.png", tmp_path / "grid.png")
    (tmp_path / "manifest.json").write_text("{}")
    assert list_below(tmp_path).names == ("cat/a.png",)


def test_a_folder_without_images_or_a_missing_one_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="contains no image"):
        list_below(tmp_path)
    with pytest.raises(UsageError, match="there is no such file or folder"):
        list_below(tmp_path / "nothing")
