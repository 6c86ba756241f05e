"""Duplicates: altered copies are found, and images that are merely similar are not."""

import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.inspection import duplicates
from iddm_cli.data.inspection.duplicates import (
    MAX_HASH_DISTANCE,
    MAX_RMSE,
    THUMBNAIL_SIDE,
    dhash,
    find_near_duplicates,
    group_equal,
)
from iddm_cli.data.sources import demo_images

FASHION = Path(__file__).parents[4] / "shared/data/fashion-mnist-small/train"
needs_fashion = pytest.mark.skipif(
    not FASHION.is_dir(), reason="needs the data beside the repository"
)


def fingerprints(images: list[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and thumbnails of grey images."""
    small = [
        image.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR)
        for image in images
    ]
    return np.stack([dhash(image) for image in images]), np.stack([np.asarray(i) for i in small])


def groups(images: list[Image.Image]) -> list[list[int]]:
    return find_near_duplicates(*fingerprints(images)).groups


def encode_again(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return Image.open(buffer).convert("L")


def resize(image: Image.Image) -> Image.Image:
    return image.resize((round(0.9 * image.width), round(0.9 * image.height)), 1)


def brighten(image: Image.Image) -> Image.Image:
    return image.point(lambda level: min(255, round(1.05 * level)))


def trim(image: Image.Image) -> Image.Image:
    """Cut one percent off each side."""
    width, height = image.size
    box = (0.01 * width, 0.01 * height, 0.99 * width, 0.99 * height)
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


ALTERED = (encode_again, resize, brighten, trim)
Alter = Callable[[Image.Image], Image.Image]


@pytest.fixture(scope="module")
def clothes() -> list[Image.Image]:
    return [Image.open(path).convert("L") for path in sorted(FASHION.rglob("*.png"))]


@pytest.fixture(scope="module")
def defects() -> list[Image.Image]:
    return [
        demo_images.render_demo_image(kind, i)
        for kind in demo_images.DEMO_CLASSES
        for i in range(60)
    ]


def recall(originals: list[Image.Image], alter: Alter) -> float:
    """The share of altered copies that are in a group with their originals."""
    copies = [alter(image) for image in originals]
    together = groups([*originals, *copies])
    n = len(originals)
    return sum(any(i in group and i + n in group for group in together) for i in range(n)) / n


@needs_fashion
@pytest.mark.parametrize("alter", ALTERED)
def test_altered_copies_of_clothes_are_found(clothes: list[Image.Image], alter: Alter) -> None:
    assert recall(clothes[::2], alter) >= 0.97


@pytest.mark.parametrize("alter", [encode_again, resize, brighten])
def test_altered_copies_of_textures_are_found(defects: list[Image.Image], alter: Alter) -> None:
    assert recall(defects, alter) >= 0.98


def test_trimmed_copies_of_fine_textures_are_mostly_found(defects: list[Image.Image]) -> None:
    assert recall(defects, trim) >= 0.85  # 0.89; at 128 x 128, with sharper edges, 0.68


@needs_fashion
def test_few_of_two_million_pairs_of_clothes_are_reported(clothes: list[Image.Image]) -> None:
    together = groups(clothes)
    assert 10 <= len(together) <= 20
    assert max(map(len, together)) <= 4


def test_no_two_textures_are_reported(defects: list[Image.Image]) -> None:
    assert groups(defects) == []


@needs_fashion
def test_the_hash_alone_is_not_enough(clothes: list[Image.Image]) -> None:
    hashes = fingerprints(clothes)[0].view(np.uint64)
    near = [np.bitwise_count(hashes[i] ^ hashes[i + 1 :]).sum(axis=1) for i in range(1999)]
    assert sum(int((distance <= MAX_HASH_DISTANCE).sum()) for distance in near) > 1000


def test_flat_and_dark_images_are_not_duplicates_of_each_other() -> None:
    flat = [Image.new("L", (40, 40), level) for level in (0, 3, 128, 255)]
    rng = np.random.default_rng(0)
    dark = [Image.fromarray(rng.integers(0, 3, (40, 40), dtype=np.uint8)) for _ in range(20)]
    assert groups([*flat, *dark]) == []


def test_a_faint_shade_shared_by_pages_does_not_make_them_duplicates() -> None:
    shade = np.tile(np.linspace(250, 254, 64).round().astype(np.uint8), (64, 1))
    pages = [shade.copy() for _ in range(2)]
    pages[0][10, 10], pages[1][50, 20] = 248, 248
    assert groups([Image.fromarray(page) for page in pages]) == []


def test_a_rotated_or_mirrored_image_is_another() -> None:
    image = demo_images.render_demo_image("scratches", 3)
    assert groups([image, image.transpose(0), image.rotate(90), image.rotate(180)]) == []


def test_the_hash_encodes_where_it_gets_brighter() -> None:
    across = Image.fromarray(np.tile(np.arange(0, 252, 28, dtype=np.uint8), (9, 1)))
    bits = np.unpackbits(dhash(across))
    assert bits[:64].all()
    assert not bits[64:].any()
    assert not np.unpackbits(dhash(across.transpose(0))).any()
    assert np.unpackbits(dhash(across.rotate(-90)))[64:].all()


def brute_force(hashes: np.ndarray, thumbs: np.ndarray) -> set[tuple[int, int]]:
    """Compare every pair, by the definition."""
    flat = thumbs.reshape(len(thumbs), -1).astype(float)
    standard = (flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)
    words = hashes.view(np.uint64)
    return {
        (a, b)
        for a, b in combinations(range(len(hashes)), 2)
        if np.bitwise_count(words[a] ^ words[b]).sum() <= MAX_HASH_DISTANCE
        and np.sqrt(((standard[a] - standard[b]) ** 2).mean()) <= MAX_RMSE
    }


def families(rng: np.random.Generator, count: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes in families that differ by up to ten bits from their head, with equal thumbnails."""
    heads = np.repeat(rng.integers(0, 2, (count, 128), dtype=np.uint8), each, axis=0)
    for bits in heads:
        bits[rng.choice(128, rng.integers(0, 6), replace=False)] ^= 1
    thumbs = np.repeat(
        rng.integers(0, 256, (count, THUMBNAIL_SIDE, THUMBNAIL_SIDE), dtype=np.uint8), each, axis=0
    )
    return np.packbits(heads, axis=1), thumbs


def test_bands_miss_no_pair_that_comparing_all_would_find() -> None:
    hashes, thumbs = families(np.random.default_rng(1), 60, 5)
    pairs = brute_force(hashes, thumbs)
    together = find_near_duplicates(hashes, thumbs)
    roots = {i: group[0] for group in together.groups for i in group}
    assert len(pairs) > 300
    assert all(roots.get(a, -1) == roots.get(b, -2) for a, b in pairs)
    linked = {i for pair in pairs for i in pair}
    assert set(roots) == linked
    assert not together.capped


@pytest.mark.parametrize("kept", range(duplicates.BANDS))
def test_one_untouched_band_is_enough(kept: int) -> None:
    wide = 128 // duplicates.BANDS
    bits = np.zeros((2, 128), np.uint8)
    bits[1, duplicates._BIT_ORDER[[band * wide for band in range(8) if band != kept]]] = 1
    thumbs = np.random.default_rng(0).integers(
        0, 256, (1, THUMBNAIL_SIDE, THUMBNAIL_SIDE), dtype=np.uint8
    )
    assert find_near_duplicates(np.packbits(bits, axis=1), np.repeat(thumbs, 2, axis=0)).groups == [
        [0, 1]
    ]


def test_each_pair_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MAX_NEIGHBOURS", 3)  # so that bands see different pairs
    hashes, thumbs = families(np.random.default_rng(2), 6, 40)
    search = duplicates._PairSearch(hashes, thumbs)
    pairs = [
        tuple(sorted(pair))
        for first, second in search.candidates()
        for pair in zip(first.tolist(), second.tolist(), strict=True)
    ]
    assert len(pairs) == len(set(pairs)) > 100


def test_a_reached_cap_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes, thumbs = families(np.random.default_rng(3), 1, 60)
    assert not find_near_duplicates(hashes, thumbs).capped
    monkeypatch.setattr(duplicates, "MAX_NEIGHBOURS", 5)
    assert find_near_duplicates(hashes, thumbs).capped


def test_with_many_images_each_has_fewer_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes, thumbs = families(np.random.default_rng(4), 10, 10)
    monkeypatch.setattr(duplicates, "MAX_COMPARISONS", 8 * 100 * 7)
    assert duplicates._PairSearch(hashes, thumbs).reach == 7


def test_groups_are_transitive() -> None:
    rng = np.random.default_rng(5)
    thumbs = np.repeat(
        rng.integers(0, 256, (1, THUMBNAIL_SIDE, THUMBNAIL_SIDE), dtype=np.uint8), 3, axis=0
    )
    bits = np.repeat(rng.integers(0, 2, (1, 128), dtype=np.uint8), 3, axis=0)
    bits[1, :6] ^= 1
    bits[2, :12] ^= 1
    assert find_near_duplicates(np.packbits(bits, axis=1), thumbs).groups == [[0, 1, 2]]


def test_equal_digests_are_grouped_in_order() -> None:
    digests = np.array([[5, 1], [2, 2], [5, 2], [5, 1], [2, 2], [9, 9], [5, 1]], np.uint64)
    assert group_equal(digests) == [[0, 3, 6], [1, 4]]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare(count: int) -> None:
    assert group_equal(np.zeros((count, 2), np.uint64)) == []
    hashes = np.zeros((count, 16), np.uint8)
    assert (
        find_near_duplicates(
            hashes, np.zeros((count, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
        ).groups
        == []
    )
