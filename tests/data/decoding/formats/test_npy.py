"""NumPy files: one image each; nothing is unpickled, and nothing is allocated before checks."""

import numpy as np
import pytest

from iddm_cli.data.decoding.images import UnreadableImageError
from tests.data.decoding.formats.files import decode, noise, npy, values_of


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64", ">i4"])
def test_values_are_those_of_the_array(dtype):
    array = noise(6, 7, 5, dtype=np.uint8).astype(dtype)
    assert (values_of(npy(array)) == array).all()
    assert (values_of(npy(np.asfortranarray(array))) == array).all()
    assert (values_of(npy(np.moveaxis(noise(20, 21, 3), -1, 0))) == noise(20, 21, 3)).all()
    assert (values_of(npy(array[..., 0]))[..., 0] == array[..., 0]).all()


def test_nan_is_delivered():
    assert np.isnan(values_of(npy(np.array([[np.nan, 1.0]])))).any()


class Attack:
    def __reduce__(self) -> tuple:
        return (pytest.fail, ("it was unpickled",))


def test_a_pickle_is_never_loaded():
    content = npy(np.array([[Attack(), 1], [2, 3]], dtype=object), allow_pickle=True)
    with pytest.raises(UnreadableImageError, match="could run a program"):
        decode(content)


def header(shape: tuple, dtype: str = "<f8") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (header((10**6, 10**6)), "too large"),
        (header((8000, 8000, 16)), "too large: 8000x8000 of 128 bytes"),
        (header((0, 5)), "not the array"),
        (header((4, 4)) + bytes(100), "ends before its last value"),
        (header((60_000, 28, 28), "|u1"), "several images"),
        (header((4, 4), "<U9"), "grey levels"),
        (header((-4, 4)), "damaged|not the array"),
        (header((True, 4)), "damaged|ends before"),
        (b"\x93NUMPY\x09\0", "newer|damaged"),
        (b"\x93NUMPY\x01\0\xff\xff{", "damaged"),
        (header((4, 4)).replace(b"False", b"open("), "damaged"),
    ],
)
def test_damaged_and_hostile_headers(content, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        decode(content)
