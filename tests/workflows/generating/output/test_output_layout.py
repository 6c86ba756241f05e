"""The folder of generated images: where each image goes, and what is not written over."""

from pathlib import Path

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.generating.output.output_layout import OutputLayout, check_usable


def layout_of(folder: Path, classes=("cat", "dog"), labels=(0, 1), form="png") -> OutputLayout:
    return OutputLayout(folder, tuple(classes), list(labels), form, grid=True)


def test_an_image_is_in_the_folder_of_its_class(tmp_path):
    layout = layout_of(tmp_path, form="webp")
    assert layout.image_path(1, 7) == tmp_path / "dog" / "dog-000007.webp"
    assert layout.image_path(1, 7, "rex") == tmp_path / "dog" / "rex-000007.webp"
    plain = layout_of(tmp_path, classes=(), labels=(0,))
    assert plain.image_path(0, 7) == tmp_path / "images" / "image-000007.png"


def test_a_folder_with_files_is_used_only_when_told_to_overwrite(tmp_path):
    out = tmp_path / "out"
    check_usable(out, overwrite=False)
    out.mkdir()
    check_usable(out, overwrite=False)
    (out / "a").touch()
    check_usable(out, overwrite=True)
    with pytest.raises(UsageError, match="is not empty"):
        check_usable(out, overwrite=False)
    (out / "cat").mkdir()
    (out / "a").rename(out / ".partial-1-manifest.json")
    check_usable(out, overwrite=False)  # another process begins there
    (out / "manifest.json").touch()
    (out / "a").touch()
    check_usable(out, overwrite=False)
    with pytest.raises(UsageError, match="Not a directory"):
        check_usable(out / "a", overwrite=True)
