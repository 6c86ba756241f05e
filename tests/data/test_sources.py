"""Sources: what a path opens, the contract that all keep, and fingerprints."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from iddm_cli.data.decoding.images import UnreadableImageError
from iddm_cli.data.sources import demo_images
from iddm_cli.data.sources.demo import DemoSource
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.data.sources.registry import open_source
from iddm_cli.data.sources.source import Source
from iddm_cli.errors import DatasetError

SIZE = (16, 24)
RAW = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def make_folder(root: Path) -> Path:
    for number, name in enumerate(("cat/1.png", "cat/2.png", "dog/1.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (5, 4), (number, 0, 0)).save(root / name)
    return root


# --- folders ---------------------------------------------------------------------------------


def test_folder(tmp_path: Path) -> None:
    source = open_source(str(make_folder(tmp_path / "pets")), size=SIZE)
    assert isinstance(source, FolderSource)
    assert (source.name, source.classes, len(source)) == ("pets", ("cat", "dog"), 3)
    assert list(source.labels) == [0, 0, 1]
    assert [source.item_name(i) for i in range(3)] == ["cat/1.png", "cat/2.png", "dog/1.png"]
    colours = [source.image(i).open().image.getpixel((0, 0)) for i in range(3)]
    assert [red for red, _, _ in colours] == [0, 1, 2]
    files = [tmp_path / "pets" / source.item_name(i) for i in range(3)]
    assert source.stored_bytes() == sum(len(file.read_bytes()) for file in files)


def test_flat_folder_has_label_0_for_all(tmp_path: Path) -> None:
    make_folder(tmp_path)
    source = open_source(str(tmp_path / "cat"), size=SIZE)
    assert (source.classes, list(source.labels)) == ((), [0, 0])


def test_a_file_that_broke_or_went_after_indexing(tmp_path: Path) -> None:
    source = open_source(str(make_folder(tmp_path / "pets")), size=SIZE)
    (tmp_path / "pets/cat/1.png").write_text("broken")
    (tmp_path / "pets/cat/2.png").unlink()
    with pytest.raises(UnreadableImageError, match="not a picture"):
        source.image(0).open()
    with pytest.raises(UnreadableImageError, match="no such file"):
        source.image(1).open()


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "pets")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(open_source("~/pets", size=SIZE)) == 3


def test_a_folder_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "demo")
    monkeypatch.chdir(tmp_path)
    source = open_source("demo", size=SIZE)
    assert (source.name, len(source)) == ("demo", 3)
    assert isinstance(source, FolderSource)


def test_fingerprint_of_a_folder(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "pets")

    def now() -> str:
        return open_source(str(root), size=SIZE).fingerprint()

    seen = [now()]
    assert now() == seen[0]
    assert len(seen[0]) == 64
    file = root / "cat" / "1.png"
    os.utime(file, ns=(1, 1))
    assert now() == seen[0], "what counts is the content"
    with file.open("ab") as handle:
        handle.write(b"x")
    os.utime(file, ns=(1, 1))
    seen.append(now())
    file.rename(root / "cat" / "0.png")
    seen.append(now())
    (root / "dog" / "1.png").unlink()
    (root / "cat" / "2.png").unlink()
    seen.append(now())
    assert len(set(seen)) == len(seen)


# --- demo ------------------------------------------------------------------------------------


def test_demo() -> None:
    source = open_source("demo", size=SIZE)
    assert (source.name, source.classes, source.skipped) == ("demo", demo_images.DEMO_CLASSES, [])
    assert len(source) == len(source.labels) == 500 * len(demo_images.DEMO_CLASSES)
    assert source.labels[499:501] == [0, 1]
    image = source.image(1002).open().image
    assert (image.height, image.width) == SIZE
    assert image == demo_images.render_demo_image(
        demo_images.DEMO_CLASSES[2], 2, height=16, width=24
    )
    names = [source.item_name(i) for i in range(len(source))]
    assert len(set(names)) == len(names)
    assert names[1002] == f"{demo_images.DEMO_CLASSES[2]}/002"
    assert source.stored_bytes() == 0


def test_fingerprint_of_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    before = DemoSource((16, 16)).fingerprint()
    assert DemoSource((16, 16)).fingerprint() == before
    assert DemoSource((16, 17)).fingerprint() != before
    monkeypatch.setattr(
        demo_images, "render_demo_image", lambda *_, **__: Image.new("L", (32, 32), 7)
    )
    assert DemoSource((16, 16)).fingerprint() != before


# --- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("cifar-10", "Did you mean cifar10?"),
        ("Demo", "Did you mean demo?"),
        ("fashionmnist", "Did you mean fashion-mnist?"),
        ("~nobody-of-that-name/x", "a folder of images"),
        ("a\0b", "a folder of images"),
        ("x" * 5000, "a folder of images"),
        ("", "."),
    ],
)
def test_unknown_names(
    path: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError) as caught:
        open_source(path, size=SIZE)
    assert hint in caught.value.hint
    assert caught.value.exit_code == 3
    assert caught.value.problem.isprintable()


def test_nothing_here_imports_torch() -> None:
    code = (
        "import sys, iddm_cli.data.sources.registry, iddm_cli.data.packs.builder;"
        "import iddm_cli.data.inspection.scan;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'torchvision')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_keep_the_contract(tmp_path: Path) -> None:
    sources: list[Source] = [
        open_source(str(make_folder(tmp_path / "pets")), size=SIZE),
        open_source("demo", size=SIZE),
    ]
    for source in sources:
        assert len(source.labels) == len(source)
        assert set(source.labels) <= set(range(len(source.classes) or 1))
