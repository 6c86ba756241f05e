"""Packs of training images, and of those that are held out: a share, or a part of the dataset."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iddm_cli.build.data import build_loader, build_store
from iddm_cli.data.decoding.workers import WorkerPool
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.packs.held_out import OFF, SHARE
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.sources.archive import ArchiveSource
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.profile import Profile
from iddm_cli.profiles.settings import DataSettings

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def without_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are decoded in this process, which spares the start of another one each time."""
    monkeypatch.setattr(WorkerPool, "_create_pool", lambda _: None)


def settings(**values: object) -> DataSettings:
    return DataSettings(**{"image_size": 8, "workers": 1, "held_out": 0.1, **values})


def draw(root: Path, counts: dict[str, int], *, seed: int = 0, mode: str = "L") -> Path:
    """Write small random images: how many into each folder."""
    dice = np.random.default_rng(seed)
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            shape = (9, 10) if mode == "L" else (9, 10, 3)
            image = Image.fromarray(dice.integers(0, 256, shape, dtype=np.uint8))
            image.save(root / name / f"{i:03d}.png")
    return root


def packed(root: Path, **values: object) -> Pack:
    return build_pack(FolderSource(root), settings(**values))


def names(pack: Pack | None) -> set[str]:
    return {name.rpartition("/")[2] for name in pack.names} if pack else set()


def stored(pack: Pack, **data: object) -> np.ndarray:
    """Return the pixels as training reads them."""
    values = {"image_size": 8, "workers": 1, **data}
    profile = Profile.model_validate({"data": values}).resolve(pack.channels)
    store = build_store(profile, pack, CPU)
    pixels = store.read(torch.arange(len(store))).numpy()
    store.close()
    return pixels


@pytest.fixture
def cats(tmp_path) -> Path:
    return draw(tmp_path / "cats", {"tabby": 60, "manx": 30})


def test_training_and_held_out_images_are_all_images(cats):
    whole, split = packed(cats, held_out=0), packed(cats)
    assert whole.held_out is None
    assert whole.held_out_facts.origin == OFF
    assert split.held_out is not None
    assert split.held_out_facts.origin == SHARE
    assert split.count + split.held_out.count == whole.count == 90
    assert sorted(split.names + split.held_out.names) == sorted(whole.names)
    assert split.folder == split.held_out.folder == whole.folder, "one pack is stored"
    counts = [split.class_counts(), split.held_out.class_counts()]
    assert np.sum(counts, axis=0).tolist() == whole.class_counts() == [30, 60]
    assert split.pixels_bytes == split.count * 64
    assert split.held_out.class_counts()[0] >= 3


def test_the_digest_is_that_of_a_dataset_of_the_training_images_alone(cats, tmp_path):
    split = packed(cats)
    assert packed(cats).digest == split.digest != packed(cats, held_out=0).digest
    for name in split.held_out.names:
        (cats / name).unlink()
    assert packed(cats, held_out=0).digest == split.digest


def test_the_choice_is_the_same_in_every_container_and_at_every_size(cats, tmp_path):
    expected = packed(cats).held_out.names
    assert packed(cats, image_size=[4, 5], aspect="pad", channels=3).held_out.names == expected
    with zipfile.ZipFile(tmp_path / "cats.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(cats.rglob("*.png"), reverse=True):
            archive.write(path, path.relative_to(cats).as_posix())
    assert build_pack(ArchiveSource(tmp_path / "cats.zip"), settings()).held_out.names == expected
    for path in cats.rglob("*.png"):
        path.rename(path.with_stem(f"renamed-{999 - int(path.stem)}"))
    renamed = {f"renamed-{999 - int(name[-7:-4])}.png" for name in expected}
    assert names(packed(cats).held_out) == renamed


@pytest.mark.parametrize("cache", ["disk", "memory", "off"])
def test_every_store_reads_the_right_rows(cats, cache):
    whole = packed(cats, held_out=0)
    by_name = dict(zip(whole.names, stored(whole), strict=True))
    split = packed(cats, cache=cache)
    for pack in (split, split.held_out):
        found = stored(pack, path=str(cats), cache=cache)
        for name, pixels in zip(pack.names, found, strict=True):
            assert (pixels == by_name[name]).all(), name


def test_no_held_out_image_is_ever_in_a_batch(cats):
    pack = packed(cats)
    kept = {pixels.tobytes() for pixels in stored(pack.held_out)}
    profile = {"data": {"image_size": 8}, "training": {"batch_size": 7}}
    loader = build_loader(Profile.model_validate(profile).resolve(1), pack, CPU)
    seen = [loader.load_batch(step, torch.arange(7))[0] for step in range(2 * pack.count // 7)]
    levels = ((torch.cat(seen) + 1) * 127.5).round().to(torch.uint8).numpy()
    shown = {pixels.tobytes() for pixels in levels}
    assert len(shown) == pack.count
    assert not shown & kept


def test_a_tiny_set_is_trained_on_whole(tmp_path):
    pack = packed(draw(tmp_path / "set", {"a": 9, "b": 1}))
    assert (pack.count, pack.held_out) == (10, None)
    assert pack.held_out_facts.notes == ("2 of 2 classes have fewer than 10 images and give none",)
    flat = packed(draw(tmp_path / "flat", {"": 3}))
    assert (flat.count, flat.held_out_facts.notes) == (3, ("fewer than 10 images give none",))


def test_the_datasets_own_part_comes_before_a_share(tmp_path):
    root = draw(tmp_path / "set", {"train/a": 20, "train/b": 12})
    draw(root, {"val/b": 3, "val/a": 2, "val/new": 4, "test/a": 5}, seed=1)
    pack = packed(root)
    assert (pack.count, pack.classes) == (32, ("a", "b"))
    assert pack.held_out.class_counts() == [2, 3]
    assert pack.held_out.classes == ("a", "b")
    facts = pack.held_out_facts
    assert (facts.origin, facts.unknown, facts.repeated) == ("val", 4, 0)
    assert pack.held_out.spec == pack.spec
    assert pack.digest == packed(root, held_out=0).digest, "the training images are all of train"
    off = packed(root, cache="off")
    assert (stored(off.held_out, path=str(root), cache="off") == stored(pack.held_out)).all()
    shutil.rmtree(root / "val")
    assert packed(root).held_out_facts.origin == "test"
    with pytest.raises(DatasetError, match="no part val any more"):
        stored(off.held_out, path=str(root), cache="off")


def test_the_part_has_the_pixels_that_the_training_images_decide(tmp_path):
    root = draw(tmp_path / "set", {"train/a": 12})
    draw(root, {"test/a": 2}, seed=1, mode="RGB")
    pack = packed(root)
    assert (pack.channels, pack.held_out.channels) == (1, 1)
    assert stored(pack.held_out).shape == (2, 1, 8, 8)


def test_labels_follow_the_classes_by_name(tmp_path):
    root = draw(tmp_path / "set", {"train/a": 12, "train/b": 12, "train/c": 12})
    draw(root, {"val/c": 1, "val/b": 2}, seed=1)
    pack = packed(root)
    assert pack.held_out.class_counts() == [0, 2, 1]
    turned = pack.with_classes(("c", "a", "b"), np.array([1, 2, 0]))
    assert turned.held_out.class_counts() == [1, 0, 2]
    assert turned.class_counts() == [12, 12, 12]
    without = packed(root, conditional=False)
    assert (without.held_out.count, without.held_out.labels.sum()) == (3, 0)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"test": 3}, "test is not used: its images have no classes"),
        ({"test/kiwi": 3}, "test is not used: its classes are other ones"),
    ],
)
def test_a_part_without_the_classes_is_replaced_by_a_share(tmp_path, part, reason):
    root = draw(tmp_path / "set", {"train/a": 40, "train/b": 40})
    draw(root, part, seed=1)
    pack = packed(root)
    assert pack.held_out_facts.origin == SHARE
    assert pack.held_out_facts.notes == (reason,)
    assert pack.count + pack.held_out.count == 80


def test_a_part_of_damaged_files_is_replaced_by_a_share(tmp_path):
    root = draw(tmp_path / "set", {"train/a": 40})
    (root / "val" / "a").mkdir(parents=True)
    (root / "val" / "a" / "1.png").write_bytes(b"damaged")
    pack = packed(root)
    assert pack.held_out_facts.origin == SHARE
    assert pack.held_out_facts.notes == ("val is not used: none of its images can be decoded",)
    with pytest.raises(DatasetError, match=r"1\.png cannot be decoded"):
        packed(root, on_error="fail")


def test_images_of_the_part_that_are_training_images_are_counted(tmp_path):
    root = draw(tmp_path / "set", {"train/a": 12})
    draw(root, {"test/a": 3}, seed=1)
    for i in (4, 7):
        again = root / "test" / "a" / f"again{i}.png"
        Image.open(root / "train" / "a" / f"00{i}.png").save(again, compress_level=1 + i)
    pack = packed(root)
    assert (pack.held_out.count, pack.held_out_facts.repeated) == (5, 2)
