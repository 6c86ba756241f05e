"""The store of generated images: what was written is read back, and nothing else is."""

import pytest
import torch

from iddm_cli.evaluation.generated_store import CHUNK, GeneratedStore

SHAPE = (3, 4, 5)


def make_pixels(count: int, dtype: torch.dtype) -> torch.Tensor:
    levels = torch.arange(count * 60).remainder(256).to(torch.int32)
    return levels.to(dtype).view(count, *SHAPE)


@pytest.fixture(params=[torch.uint8, torch.uint16])
def store(request, tmp_path) -> GeneratedStore:
    labels = [i % 3 for i in range(CHUNK + 5)]
    store = GeneratedStore(tmp_path / "deep" / "er", labels, SHAPE, request.param)
    store.write(0, make_pixels(CHUNK, request.param))
    store.write(CHUNK, make_pixels(5, request.param))
    return store


def test_chunks_are_read_as_written(store):
    assert list(store.starts()) == [0, CHUNK]
    assert torch.equal(store.read(0), make_pixels(CHUNK, store.dtype))
    assert torch.equal(store.read(CHUNK), make_pixels(5, store.dtype))


def test_a_smaller_number_of_images_reads_a_part(store):
    fewer = GeneratedStore(store.folder, store.labels[:7], SHAPE, store.dtype)
    assert torch.equal(fewer.read(0), make_pixels(7, store.dtype))


def test_a_larger_number_of_images_makes_the_last_chunk_again(store):
    more = GeneratedStore(store.folder, [*store.labels, 2], SHAPE, store.dtype)
    assert more.read(0) is not None
    assert more.read(CHUNK) is None


def test_images_of_other_labels_or_shapes_are_not_read(store):
    other = [(label + 1) % 3 for label in store.labels]
    assert GeneratedStore(store.folder, other, SHAPE, store.dtype).read(0) is None
    assert GeneratedStore(store.folder, store.labels, (3, 5, 4), store.dtype).read(0) is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "folder"])
def test_a_damaged_chunk_is_absent(store, damage):
    path = store.folder / "000000.safetensors"
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes(
            {
                "cut": content[:-1],
                "flip": content[:-1] + bytes([content[-1] ^ 1]),
                "empty": b"",
                "text": b"not tensors at all",
            }[damage]
        )
    assert store.read(0) is None
