"""The record of a pack: counts, classes and sizes of the images that could be decoded."""

from types import SimpleNamespace

import numpy as np
import pytest

from iddm_cli.data.decoding.preprocess import PixelSpec, PreparedImage
from iddm_cli.data.packs.pack import Pack, build_record
from iddm_cli.errors import DatasetError

SPEC = PixelSpec((8, 8), 1, "crop", "white")


def source_of(*labels: int) -> SimpleNamespace:
    return SimpleNamespace(
        name="pets", location="", labels=list(labels), classes=("bird", "cat", "dog"),
        item_name=lambda i: f"{i}.png",
    )  # fmt: skip


def prepared(digest: str = "a", *, size=(8, 8), grey=True, animated=False) -> PreparedImage:
    return PreparedImage(b"", digest, *size, grey=grey, animated=animated, content="")


def record_of(*results, labels=None):
    labels = labels or [0] * len(results)
    return build_record(source_of(*labels), SPEC, list(results), stored=True)


def test_unreadable_images_are_listed_and_neither_counted_nor_classes_of_their_own():
    record = record_of(prepared(), "damaged: x", prepared(), labels=[1, 0, 2])
    assert (record.count, record.left_out) == (2, [1])
    assert [tuple(item) for item in record.skipped] == [("1.png", "damaged: x")]
    assert record.classes == ("cat", "dog"), "no readable image is a bird"


def test_one_image_in_colour_makes_the_dataset_one_in_colour():
    assert record_of(prepared(), prepared()).grey
    assert not record_of(prepared(), prepared(grey=False)).grey


def test_the_digest_depends_on_every_image_and_on_their_order():
    digests = {record_of(*map(prepared, names)).pixels for names in ("ab", "ba", "a", "aa", "abc")}
    assert len(digests) == 5


def test_sizes_are_those_of_the_originals():
    looks = record_of(
        prepared(size=(4, 8)), prepared(size=(8, 8)), prepared(size=(16, 8), animated=True)
    ).looks
    assert (looks.width, looks.height) == ((4, 8, 16), (8, 8, 8))
    assert (looks.enlarged, looks.animated) == (1, 1), "4 x 8 becomes 8 x 16, then is cropped"
    assert looks.shown == pytest.approx((0.5 + 1 + 0.5) / 3)


@pytest.mark.parametrize(
    ("results", "said"),
    [((), "pets contains no images"), (("broken",), "none of the 1 images .* 0.png: broken")],
)
def test_nothing_readable_is_a_dataset_error(results, said):
    with pytest.raises(DatasetError, match=said):
        record_of(*results)


def test_every_class_is_counted_and_none_where_there_are_no_classes(tmp_path):
    record = record_of(prepared(), prepared(), prepared())

    def pack(labels: list[int], classes: tuple[str, ...]) -> Pack:
        return Pack(tmp_path, SPEC, record, np.array(labels), classes, "", (), ())

    assert pack([2, 0, 2], ("a", "b", "c")).class_counts() == [1, 0, 2]
    assert pack([0, 0, 0], ()).class_counts() == []
    assert pack([0, 0, 0], ()).pixels_bytes == 3 * 64
