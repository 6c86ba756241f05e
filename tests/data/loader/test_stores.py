"""Stores: every one gives the same pixels, whatever it holds or decodes anew."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.data.loader.stores import (
    FileStore,
    MemoryStore,
    PixelStore,
    StreamStore,
    pixel_dtype,
)
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings

SETTINGS = DataSettings(image_size=[8, 12], channels=3, workers=2, held_out=0)


@pytest.fixture
def packed(pets: Path) -> Pack:
    (pets / "cat" / "03.png").write_text("broken")
    (pets / "dog" / "79.png").write_text("broken")
    return build_pack(FolderSource(pets), SETTINGS)


def file_store(packed: Pack) -> FileStore:
    return FileStore(packed.images_path, (packed.channels, packed.height, packed.width))


def stream_store(pets: Path, packed: Pack) -> StreamStore:
    source = FolderSource(pets)
    kept = [i for i in range(len(source)) if i not in packed.record.left_out]
    return StreamStore(source, kept, packed.spec, workers=2, timeout=20)


def batches(store: PixelStore, packed: Pack) -> BatchLoader:
    def order(epoch: int) -> torch.Tensor:
        return torch.randperm(packed.count, generator=torch.Generator().manual_seed(epoch))

    return BatchLoader(store, torch.from_numpy(packed.labels), batch_size=30, order=order)


def test_streamed_images_are_those_of_the_pack_in_the_same_order(pets: Path, packed: Pack) -> None:
    """Three epochs in batches that straddle them, taken whole and in micro-batches."""
    disk, stream = file_store(packed), stream_store(pets, packed)
    assert len(disk) == len(stream) == packed.count == 78
    a, b = batches(disk, packed), batches(stream, packed)
    for step in range(8):
        for slots in torch.arange(30).split(30 if step % 2 else 7):
            (x, label), (y, its_label) = a.load_batch(step, slots), b.load_batch(step, slots)
            assert torch.equal(x, y)
            assert torch.equal(label, its_label)
    disk.close()
    stream.close()


def test_memory_and_disk_hold_the_same(packed: Pack) -> None:
    disk = file_store(packed)
    memory = MemoryStore(disk.read_all())
    index = torch.tensor([5, 0, 77, 5])
    assert torch.equal(memory.read(index), disk.read(index))
    assert disk.read_all().numpy().tobytes() == packed.images_path.read_bytes()
    assert len(memory) == len(disk) == 78


def test_a_stream_may_jump(pets: Path, packed: Pack) -> None:
    """As after a resume: nothing that was announced before must come instead."""
    disk, stream = file_store(packed), stream_store(pets, packed)
    for index in ([1, 2, 3], [9, 9, 9], [3, 2, 1], [1, 2, 3]):
        stream.prefetch(torch.tensor([40, 41]))
        assert torch.equal(stream.read(torch.tensor(index)), disk.read(torch.tensor(index)))
    stream.close()


def test_an_image_that_vanished_is_reported(pets: Path, packed: Pack) -> None:
    stream = stream_store(pets, packed)
    (pets / "cat" / "04.png").unlink()
    with pytest.raises(DatasetError, match=r"cat/04\.png could be decoded before, and no"):
        stream.read(torch.tensor([2, 3, 4]))
    stream.close()


def test_a_file_truncated_while_training_is_reported(packed: Pack) -> None:
    disk = file_store(packed)
    packed.images_path.open("r+b").truncate(1000)
    with pytest.raises(DatasetError, match="was truncated"):
        disk.read(torch.tensor([70]))


def test_a_pack_that_is_cleared_is_read_on(packed: Pack) -> None:
    disk = file_store(packed)
    before = disk.read_all()
    packed.images_path.unlink()
    assert torch.equal(disk.read_all(), before)


@pytest.fixture
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[FolderSource, Pack]:
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "lungs").mkdir()
    for i in range(6):
        values = np.random.default_rng(i).integers(300, 3301, (9, 9)).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / "lungs" / f"{i}.png")
    source = FolderSource(tmp_path / "lungs")
    return source, build_pack(source, DataSettings(image_size=8, workers=1, held_out=0))


def test_every_store_gives_the_same_deep_levels(deep: tuple[FolderSource, Pack]) -> None:
    source, packed = deep
    shape = (packed.channels, packed.height, packed.width)
    disk = FileStore(packed.images_path, shape, pixel_dtype(packed.values))
    memory = MemoryStore(disk.read_all())
    stream = StreamStore(source, range(6), packed.spec, workers=1, timeout=20)
    index = torch.tensor([5, 0, 3, 5])
    read = [store.read(index) for store in (disk, memory, stream)]
    assert {pixels.dtype for pixels in read} == {torch.uint16}
    assert len(disk) == len(memory) == 6
    assert torch.equal(read[0], read[1])
    assert torch.equal(read[0], read[2])
    assert read[0].int().max() > 60_000
    disk.close()
    stream.close()
