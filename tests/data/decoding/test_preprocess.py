"""Preprocessing one image: its pixels, its properties, or the reason why there are none."""

from pathlib import Path

import numpy as np
from PIL import Image

from iddm_cli.data.decoding.images import digest_bytes
from iddm_cli.data.decoding.preprocess import (
    PixelSpec,
    PreparedImage,
    prepare_image,
)
from iddm_cli.data.sources.folder import FileImage
from iddm_cli.profiles.settings import DataSettings

SPEC = PixelSpec.from_settings(DataSettings(image_size=[4, 6]), 3)


def test_an_image_is_prepared(tmp_path: Path) -> None:
    Image.new("RGB", (12, 8), (1, 2, 3)).save(tmp_path / "a.png")
    prepared = prepare_image(SPEC, FileImage(str(tmp_path), "a.png"))
    assert isinstance(prepared, PreparedImage)
    assert len(prepared.planes) == SPEC.image_bytes == 3 * 4 * 6
    planes = np.frombuffer(prepared.planes, np.uint8).reshape(3, 4, 6)
    assert [plane.tolist() for plane in planes[:, 0, 0]] == [1, 2, 3]
    assert prepared.digest == digest_bytes(prepared.planes)
    assert (prepared.width, prepared.height) == (12, 8)
    assert (prepared.grey, prepared.animated) == (True, False)


def test_a_failure_is_a_reason_and_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("words")
    reason = prepare_image(SPEC, FileImage(str(tmp_path), "a.png"))
    assert isinstance(reason, str)
    assert reason.startswith("not an image")
