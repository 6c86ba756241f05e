"""What an inspection says of held-out images is what training does."""

import json
import shutil
from pathlib import Path

import pytest

from iddm_cli.data.decoding.workers import WorkerPool
from iddm_cli.data.inspection.report_data import Inspection
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.profiles.settings import DataSettings

from .images import inspect, save_image


@pytest.fixture(autouse=True)
def without_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are decoded in this process, which spares the start of another one each time."""
    monkeypatch.setattr(WorkerPool, "_create_pool", lambda _: None)


def draw(root: Path, counts: dict[str, int]) -> Path:
    for name, count in counts.items():
        for i in range(count):
            save_image(root, f"{name}/{i}.png".lstrip("/"))
    return root


def both(root: Path, **settings: object) -> tuple[Inspection, Pack]:
    data = DataSettings(image_size=8, workers=1, **settings)
    return inspect(root, **settings), build_pack(FolderSource(root), data)


def advice_of(found: Inspection) -> str:
    return "\n".join(advice.text for advice in found.advice)


@pytest.mark.parametrize(
    ("counts", "settings"),
    [
        ({"a": 60, "b": 30, "c": 9}, {}),
        ({"a": 60, "b": 30}, {"conditional": False, "held_out": 1e-6}),
        ({"": 40}, {}),
        ({"": 5}, {}),
        ({"a": 60}, {"held_out": 0}),
        ({"train/a": 20, "train/b": 20, "val/b": 3, "val/c": 2, "test/a": 9}, {}),
        ({"train/a": 20, "train/b": 20, "val": 3}, {}),
        ({"train": 20, "test": 3}, {}),
    ],
)
def test_it_counts_what_training_holds_out(tmp_path, counts, settings):
    found, pack = both(draw(tmp_path / "set", counts), **settings)
    report = found.to_json()["held_out"]
    expected = pack.report_held_out().to_json()
    expected.pop("digest", None)
    assert report == json.loads(json.dumps(expected)) | {"classes": report["classes"]}
    assert {k: n for k, n in report["classes"].items() if n} == {
        k: n for k, n in expected["classes"].items() if n
    }
    assert found.training == pack.count
    assert found.treatment.steps_per_epoch == pack.count / 64
    splits = [found.split_of(name) for name in pack.classes]
    assert [training for training, _ in splits] == pack.class_counts()


def test_leaks_and_small_classes_are_reported(tmp_path):
    root = draw(tmp_path / "set", {"train/a": 60, "train/b": 60, "test/a": 5})
    assert "equal training images" not in advice_of(inspect(root))
    for i in range(2):
        shutil.copy(root / f"train/b/{i}.png", root / f"test/a/again{i}.png")
    found = inspect(root)
    assert found.held_out.facts.repeated == 2
    assert "2 images of test equal training images: results on it look better" in advice_of(found)
    small = inspect(draw(tmp_path / "small", {"many": 60, "few": 9}))
    assert "No image of `few` is held out to measure quality" in advice_of(small)
    assert "held out" not in advice_of(inspect(tmp_path / "small", held_out=0))
