"""The scan: one row for each readable image, and groups of rows that are equal."""

import pytest

from iddm_cli.data.inspection.scan import DatasetScan, scan
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.profiles.settings import DataSettings
from tests.data.inspection.images import make_image, save_image


@pytest.fixture(scope="module")
def progress() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory, progress) -> DatasetScan:
    root = tmp_path_factory.mktemp("scan")
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        save_image(root, name)
    make_image("cat/2.png").save(root / "cat" / "3.png")
    make_image("cat/1.png").save(root / "dog" / "2.png")
    (root / "cat" / "broken.png").write_text("broken")
    settings = DataSettings(image_size=8, workers=1)
    return scan(FolderSource(root), settings, progress=lambda *step: progress.append(step))


def test_rows_are_the_readable_images_in_the_order_of_the_source(scanned):
    names = scanned.names(range(len(scanned.items)))
    assert names == ["cat/1.png", "cat/2.png", "cat/3.png", "dog/1.png", "dog/2.png"]
    assert scanned.labels.tolist() == [0, 0, 0, 1, 1]
    assert [name for name, _ in scanned.unreadable] == ["cat/broken.png"]


def test_equal_images_are_one_group_and_those_across_classes_come_first(scanned):
    groups = scanned.sort_groups(scanned.equal)
    assert [scanned.names(group) for group in groups] == [
        ["cat/1.png", "dog/2.png"],
        ["cat/2.png", "cat/3.png"],
    ]
    assert [scanned.classes(group) for group in groups] == [["cat", "dog"], ["cat"]]


def test_a_repeated_image_is_no_near_duplicate(scanned):
    assert scanned.near.groups == []


def test_each_stage_is_reported_to_its_end(scanned, progress):
    assert ("reading images", 6, 6) in progress
    assert progress[-1] == ("comparing images", 5, 5)
