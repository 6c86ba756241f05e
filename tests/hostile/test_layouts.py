"""Folders as people have them: each kind is one dataset, whether a folder, a zip or a tar."""

import shutil
from pathlib import Path

import pytest

from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.sources.registry import open_dataset
from iddm_cli.profiles.settings import DataSettings
from tests.data.conftest import cache_dir  # noqa: F401 (a fixture)
from tests.hostile.zoo.layouts import PEOPLES_FOLDERS, PeoplesFolder, create_peoples_folder


def pack_of(path: Path, **settings: object) -> Pack:
    data = DataSettings(path=str(path), image_size=8, workers=1, **settings)
    return build_pack(open_dataset(data), data)


@pytest.mark.parametrize("kind", PEOPLES_FOLDERS, ids=lambda kind: kind.name)
def test_folder_zip_and_tar_are_understood_alike(tmp_path: Path, kind: PeoplesFolder) -> None:
    root = create_peoples_folder(tmp_path / "set", kind)
    packs = [pack_of(root)]
    for form, suffix in (("zip", "zip"), ("gztar", "tar.gz")):
        shutil.make_archive(str(tmp_path / "packed"), form, root)
        packs.append(pack_of(tmp_path / f"packed.{suffix}"))
    for made in packs:
        assert made.classes == kind.classes
        assert sorted(made.names) == sorted(kind.used)
        assert len({made.digest for made in packs}) == 1
        assert any(kind.note in note for note in made.notes), made.notes
    reasons = dict(packs[0].skipped_entries)
    assert all(kind.reason in reasons[name] for name in kind.left_out)


def test_a_root_may_have_the_name_of_a_system_folder(tmp_path: Path) -> None:
    for name in ("#recycle", "__MACOSX", "node_modules"):
        kind = PeoplesFolder("root", used=("cat/1.png", "dog/1.png"), classes=("cat", "dog"))
        assert pack_of(create_peoples_folder(tmp_path / name, kind)).classes == ("cat", "dog")


def test_what_is_left_out_does_not_change_the_pack(tmp_path: Path) -> None:
    """The digest, by which a run knows its images, depends on what is used alone."""
    kind = PeoplesFolder(
        "split", used=("train/a/1.png", "train/b/1.png"), left_out=("val/a/1.png",)
    )
    root = create_peoples_folder(tmp_path / "set", kind)
    digest = pack_of(root).digest
    create_peoples_folder(root, PeoplesFolder("more", used=("val/b/2.png", "train/a/@eaDir/x.png")))
    assert pack_of(root).digest == digest
    assert pack_of(root, layout="folders").digest != digest
