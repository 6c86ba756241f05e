"""Likeness: copies are found however they were altered, and what only resembles is not."""

import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.inspection import duplicates
from iddm_cli.data.inspection.duplicates import DIFFERENCE, DISTANCE, THUMB, alike, dhash, equal
from iddm_cli.data.sources import demo_images

FASHION = Path(__file__).parents[3] / "shared/data/fashion-mnist-small/train"
needs_fashion = pytest.mark.skipif(
    not FASHION.is_dir(), reason="needs the data beside the repository"
)


def prints(images: list[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and thumbnails of grey pictures."""
    small = [image.resize((THUMB, THUMB), Image.Resampling.BILINEAR) for image in images]
    return np.stack([dhash(image) for image in images]), np.stack([np.asarray(i) for i in small])


def groups(images: list[Image.Image]) -> list[list[int]]:
    return alike(*prints(images)).groups


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


def found(originals: list[Image.Image], alter: Alter) -> float:
    """Which share of altered copies lands in a group with its original."""
    copies = [alter(image) for image in originals]
    together = groups([*originals, *copies])
    n = len(originals)
    return sum(any(i in group and i + n in group for group in together) for i in range(n)) / n


@needs_fashion
@pytest.mark.parametrize("alter", ALTERED)
def test_altered_copies_of_clothes_are_found(clothes: list[Image.Image], alter: Alter) -> None:
    assert found(clothes[::2], alter) >= 0.97


@pytest.mark.parametrize("alter", [encode_again, resize, brighten])
def test_altered_copies_of_textures_are_found(defects: list[Image.Image], alter: Alter) -> None:
    assert found(defects, alter) >= 0.98


def test_trimmed_copies_of_fine_textures_are_mostly_found(defects: list[Image.Image]) -> None:
    assert found(defects, trim) >= 0.85  # 0.89; at 128 x 128, with sharper edges, 0.68


@needs_fashion
def test_few_of_two_million_pairs_of_clothes_pass_for_alike(clothes: list[Image.Image]) -> None:
    together = groups(clothes)
    assert 10 <= len(together) <= 20
    assert max(map(len, together)) <= 4


def test_no_two_textures_pass_for_alike(defects: list[Image.Image]) -> None:
    assert groups(defects) == []


@needs_fashion
def test_the_hash_alone_would_not_do(clothes: list[Image.Image]) -> None:
    hashes = prints(clothes)[0].view(np.uint64)
    near = [np.bitwise_count(hashes[i] ^ hashes[i + 1 :]).sum(axis=1) for i in range(1999)]
    assert sum(int((distance <= DISTANCE).sum()) for distance in near) > 1000


def test_flat_and_dark_pictures_are_no_duplicates_of_each_other() -> None:
    flat = [Image.new("L", (40, 40), level) for level in (0, 3, 128, 255)]
    rng = np.random.default_rng(0)
    dark = [Image.fromarray(rng.integers(0, 3, (40, 40), dtype=np.uint8)) for _ in range(20)]
    assert groups([*flat, *dark]) == []


def test_a_faint_shade_that_pages_share_is_no_likeness() -> None:
    shade = np.tile(np.linspace(250, 254, 64).round().astype(np.uint8), (64, 1))
    pages = [shade.copy() for _ in range(2)]
    pages[0][10, 10], pages[1][50, 20] = 248, 248
    assert groups([Image.fromarray(page) for page in pages]) == []


def test_a_turned_or_mirrored_picture_is_another() -> None:
    image = demo_images.render_demo_image("scratches", 3)
    assert groups([image, image.transpose(0), image.rotate(90), image.rotate(180)]) == []


def test_the_hash_says_where_it_gets_brighter() -> None:
    across = Image.fromarray(np.tile(np.arange(0, 252, 28, dtype=np.uint8), (9, 1)))
    bits = np.unpackbits(dhash(across))
    assert bits[:64].all()
    assert not bits[64:].any()
    assert not np.unpackbits(dhash(across.transpose(0))).any()
    assert np.unpackbits(dhash(across.rotate(-90)))[64:].all()


def brute_force(hashes: np.ndarray, thumbs: np.ndarray) -> set[tuple[int, int]]:
    """Compare each pair with each, as the definition says."""
    flat = thumbs.reshape(len(thumbs), -1).astype(float)
    standard = (flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)
    words = hashes.view(np.uint64)
    return {
        (a, b)
        for a, b in combinations(range(len(hashes)), 2)
        if np.bitwise_count(words[a] ^ words[b]).sum() <= DISTANCE
        and np.sqrt(((standard[a] - standard[b]) ** 2).mean()) <= DIFFERENCE
    }


def families(rng: np.random.Generator, count: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes in families that differ by up to ten bits from their head, with equal thumbnails."""
    heads = np.repeat(rng.integers(0, 2, (count, 128), dtype=np.uint8), each, axis=0)
    for bits in heads:
        bits[rng.choice(128, rng.integers(0, 6), replace=False)] ^= 1
    thumbs = np.repeat(rng.integers(0, 256, (count, THUMB, THUMB), dtype=np.uint8), each, axis=0)
    return np.packbits(heads, axis=1), thumbs


def test_bands_miss_no_pair_that_comparing_all_would_find() -> None:
    hashes, thumbs = families(np.random.default_rng(1), 60, 5)
    pairs = brute_force(hashes, thumbs)
    together = alike(hashes, thumbs)
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
    bits[1, duplicates._SHUFFLED[[band * wide for band in range(8) if band != kept]]] = 1
    thumbs = np.random.default_rng(0).integers(0, 256, (1, THUMB, THUMB), dtype=np.uint8)
    assert alike(np.packbits(bits, axis=1), np.repeat(thumbs, 2, axis=0)).groups == [[0, 1]]


def test_each_pair_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "NEIGHBOURS", 3)  # so that bands see different pairs
    hashes, thumbs = families(np.random.default_rng(2), 6, 40)
    search = duplicates._Search(hashes, thumbs)
    pairs = [
        tuple(sorted(pair))
        for first, second in search.candidates()
        for pair in zip(first.tolist(), second.tolist(), strict=True)
    ]
    assert len(pairs) == len(set(pairs)) > 100


def test_a_cap_that_is_met_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes, thumbs = families(np.random.default_rng(3), 1, 60)
    assert not alike(hashes, thumbs).capped
    monkeypatch.setattr(duplicates, "NEIGHBOURS", 5)
    assert alike(hashes, thumbs).capped


def test_of_many_pictures_each_has_fewer_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes, thumbs = families(np.random.default_rng(4), 10, 10)
    monkeypatch.setattr(duplicates, "COMPARISONS", 8 * 100 * 7)
    assert duplicates._Search(hashes, thumbs).reach == 7


def test_likeness_goes_on_from_one_to_the_next() -> None:
    rng = np.random.default_rng(5)
    thumbs = np.repeat(rng.integers(0, 256, (1, THUMB, THUMB), dtype=np.uint8), 3, axis=0)
    bits = np.repeat(rng.integers(0, 2, (1, 128), dtype=np.uint8), 3, axis=0)
    bits[1, :6] ^= 1
    bits[2, :12] ^= 1
    assert alike(np.packbits(bits, axis=1), thumbs).groups == [[0, 1, 2]]


def test_equal_digests_are_grouped_in_order() -> None:
    digests = np.array([[5, 1], [2, 2], [5, 2], [5, 1], [2, 2], [9, 9], [5, 1]], np.uint64)
    assert equal(digests) == [[0, 3, 6], [1, 4]]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare(count: int) -> None:
    assert equal(np.zeros((count, 2), np.uint64)) == []
    hashes = np.zeros((count, 16), np.uint8)
    assert alike(hashes, np.zeros((count, THUMB, THUMB), np.uint8)).groups == []
