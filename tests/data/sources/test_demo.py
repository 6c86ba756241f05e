"""The demo dataset: names, labels, images and fingerprint."""

import pytest
from PIL import Image

from iddm_cli.data.sources import demo_images
from iddm_cli.data.sources.demo import DemoSource
from iddm_cli.data.sources.registry import open_source

SIZE = (16, 24)


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
