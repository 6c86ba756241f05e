"""The survey: grouped by type and bands, the same for any number of workers, and kept."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.progress import no_progress
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.data.values import survey as surveys
from iddm_cli.data.values.survey import QUANTILES, find_survey, survey_values
from tests.data.values.surveys import numbers, settings, survey


def test_images_are_grouped_by_type_and_bands():
    groups = survey(
        *numbers(0, 9, "uint16"), *numbers(0, 9, "int16", 3, 4), Image.new("RGB", (2, 2))
    ).groups
    assert [(g.dtype, g.bands, g.count) for g in groups] == [
        ("uint16", 1, 10),
        ("int16", 3, 4),
        ("uint8", 3, 1),
    ]


def test_quantiles_are_those_of_all_images():
    images = numbers(300, 3300, "uint16")
    (group,) = survey(*images).groups
    assert group.table.shape == (1, QUANTILES)
    assert (group.table[0, 0], group.table[0, -1]) == (300, 3300)
    exact = np.quantile(np.stack(images), np.linspace(0, 1, QUANTILES))
    assert np.abs(group.table[0] - exact).max() <= 1


def test_a_band_without_any_value_has_zeros():
    image = np.ones((4, 4, 2), np.float32)
    image[..., 1] = np.nan
    (group,) = survey(image).groups
    assert group.table[0, 0] == 1 and not group.table[1].any()
    assert group.missing == 0.5


def test_labels_are_those_of_all_images_or_none():
    images = [Image.new("L", (2, 2), value) for value in (0, 2, 5)]
    assert survey(*images).groups[0].labels == (0, 2, 5)
    assert survey(*images, Image.linear_gradient("L")).groups[0].labels == ()


@pytest.fixture
def lungs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderSource:
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "lungs").mkdir()
    for i, image in enumerate(numbers(300, 3300, "uint16")):
        Image.fromarray(image[..., 0]).save(tmp_path / "lungs" / f"{i}.png")
    (tmp_path / "lungs" / "broken.png").write_text("broken")
    return FolderSource(tmp_path / "lungs")


def test_the_survey_is_made_once_and_does_not_depend_on_workers(lungs, monkeypatch):
    calls: list[tuple[str, int, int]] = []
    assert find_survey("a") is None
    first = survey_values(lungs, settings(workers=1), "a", lambda *call: calls.append(call))
    assert calls[-1] == ("reading values", 11, 11)
    assert survey_values(lungs, settings(workers=2), "b", no_progress) == first
    assert first.groups[0].count == 10
    monkeypatch.setattr(surveys, "WorkerPool", None)
    assert survey_values(lungs, settings(), "a", no_progress) == first


@pytest.mark.parametrize("damage", ["", "{", '{"groups": 3}', '{"groups": [{}]}'])
def test_a_damaged_survey_is_made_again(lungs, tmp_path, damage):
    first = survey_values(lungs, settings(workers=1), "a", no_progress)
    (path,) = (tmp_path / "cache" / "surveys").iterdir()
    path.write_text(damage)
    assert find_survey("a") is None
    assert survey_values(lungs, settings(workers=1), "a", no_progress) == first
