"""Sample grids in a page: lossless if they fit, never larger than allowed, damaged ones skipped."""

import base64
import io

from PIL import Image

from iddm_cli.display.html.grid_images import MAX_HEIGHT, embed_grid


def decode(source: str) -> tuple[Image.Image, int]:
    content = base64.b64decode(source.split(",")[1])
    return Image.open(io.BytesIO(content)), len(content)


def test_a_small_grid_stays_as_it_is(tmp_path):
    image = Image.effect_noise((60, 40), 50).convert("RGB")
    image.save(tmp_path / "a.png")
    grid = embed_grid(tmp_path / "a.png", 1e6)
    shown, _ = decode(grid["source"])
    assert shown.tobytes() == image.tobytes()
    assert (grid["width"], grid["height"], grid["is_cut"]) == (60, 40, False)


def test_a_large_grid_becomes_as_small_as_it_must(tmp_path):
    Image.effect_noise((70, MAX_HEIGHT + 600), 90).save(tmp_path / "a.png")
    for budget in (60_000, 20_000):
        grid = embed_grid(tmp_path / "a.png", budget)
        assert decode(grid["source"])[1] <= budget
        assert (grid["width"], grid["height"], grid["is_cut"]) == (70, MAX_HEIGHT, True)


def test_what_is_no_png_is_skipped(tmp_path):
    assert embed_grid(tmp_path / "missing.png", 1e6) is None
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    assert embed_grid(tmp_path / "a.png", 1e6) is None
    Image.new("RGB", (4, 4)).save(tmp_path / "b.png", "GIF")
    assert embed_grid(tmp_path / "b.png", 1e6) is None
