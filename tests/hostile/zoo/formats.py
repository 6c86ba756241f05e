"""Formats of phones, hospitals and laboratories: intact, under wrong names, and out to hurt."""

import io
import pickle

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401 (registers itself with Pillow)

from tests.data.decoding.formats.files import dicom, npy
from tests.hostile.zoo.keeper import Zoo, cells, encoded, greys

pillow_heif.register_heif_opener()

COLOURS = [(200, 0, 0), (0, 150, 0)]
LEVELS = [0, 77, 255]


def photos(zoo: Zoo) -> None:
    image, grey = cells("RGB", COLOURS, side=32), cells("L", LEVELS, side=32)
    heic = encoded(image, "HEIF", quality=100, chroma=444)
    zoo.use("formats/phone.heic", COLOURS, near=4).write_bytes(heic)
    zoo.use("formats/sent.jpg", COLOURS, near=4).write_bytes(heic)
    jpeg = encoded(image, "JPEG", quality=100, subsampling=0)
    zoo.use("formats/received.HEIC", COLOURS, near=4).write_bytes(jpeg)
    zoo.use("formats/new.jxl", COLOURS).write_bytes(encoded(image, "JXL", lossless=True))
    zoo.use("formats/map.jp2", COLOURS).write_bytes(encoded(image, "JPEG2000"))
    zoo.use("formats/1.2.840.113619.2", greys(*LEVELS)).write_bytes(dicom(np.asarray(grey)))
    zoo.skip("formats/half.heic", "^damaged|^not an image").write_bytes(heic[: len(heic) // 2])
    zoo.skip("formats/half.jxl", "^damaged").write_bytes(encoded(image, "JXL")[:60])


def bombs_of_new_formats(zoo: Zoo) -> None:
    scan = np.zeros((4, 4), np.uint8)
    huge = dicom(scan, Rows=65_535, Columns=65_535)
    zoo.skip("formats/huge.dcm", "too large").write_bytes(huge)
    zoo.skip("formats/frames.dcm", "^damaged").write_bytes(dicom(scan, NumberOfFrames=10**9))
    header = npy(np.zeros((1, 1)))[:128].replace(b"(1, 1), }   ", b"(9**9, 9), }")
    zoo.skip("formats/code.png", "^damaged").write_bytes(header)
    wide = npy(np.zeros((10, 10)))[:128].replace(b"(10, 10), }    ", b"(99999, 9999), }")
    zoo.skip("formats/wide.png", "too large|^damaged").write_bytes(wide)
    objects = io.BytesIO()
    np.save(objects, np.array([[print, 1]], dtype=object), allow_pickle=True)
    zoo.skip("formats/objects.png", "could run a program").write_bytes(objects.getvalue())
    zoo.skip("formats/pickle.png", "^not an image").write_bytes(pickle.dumps(print))


def other_programs(zoo: Zoo) -> None:
    video = b"\0\0\0\x18ftypmp42" + bytes(100)
    zoo.skip("formats/film.mp4", "^a video").write_bytes(video)
    zoo.skip("formats/live.jpg", "^a video").write_bytes(video)
    zoo.skip("formats/raw.NEF", "^a camera raw photo").write_bytes(b"MM\0*" + bytes(100))
    zoo.skip("formats/layers.psd", "^a layered image").write_bytes(b"8BPS\0\1")
    zoo.skip("formats/features.npy", "^a NumPy array among images").write_bytes(npy(np.eye(9)))
    zoo.skip("formats/boxes.xml", r"^not an image: \.xml \(annotations\)").write_text("<a/>")


FAMILIES = photos, bombs_of_new_formats, other_programs
