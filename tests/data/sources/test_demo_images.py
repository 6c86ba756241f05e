"""Laws of the demo images: repeatable, of the asked size, alike at any size, told apart."""

import numpy as np
import pytest

from iddm_cli.data.sources.demo_images import DEMO_CLASSES, render_demo_image


def pixels(kind: str, index: int, height: int = 32, width: int = 32) -> np.ndarray:
    return np.asarray(render_demo_image(kind, index, height=height, width=width), dtype=np.float64)


def features(image: np.ndarray) -> np.ndarray:
    """Measure what an eye takes in first: tone, contrast and the directions of edges."""
    down, right = np.gradient(image)
    strength = np.hypot(down, right)
    angle = np.mod(np.arctan2(down, right), np.pi)
    turns, _ = np.histogram(angle, bins=6, range=(0, np.pi), weights=strength)
    tones, _ = np.histogram(image, bins=8, range=(0, 256))
    return np.concatenate([tones / image.size, turns / turns.sum(), [strength.mean() / 64]])


def collect(kind: str, indices: range) -> np.ndarray:
    return np.stack([features(pixels(kind, index)) for index in indices])


def test_six_kinds_are_named_as_in_neu_det():
    assert DEMO_CLASSES == (
        "crazing",
        "inclusion",
        "patches",
        "pitted-surface",
        "rolled-in-scale",
        "scratches",
    )


@pytest.mark.parametrize("kind", DEMO_CLASSES)
def test_same_arguments_draw_the_same_bytes(kind: str):
    assert render_demo_image(kind, 3).tobytes() == render_demo_image(kind, 3).tobytes()


@pytest.mark.parametrize("kind", DEMO_CLASSES)
def test_every_index_draws_another_image(kind: str):
    assert len({render_demo_image(kind, index).tobytes() for index in range(50)}) == 50


def test_every_kind_draws_another_image():
    assert len({render_demo_image(kind, 0).tobytes() for kind in DEMO_CLASSES}) == len(DEMO_CLASSES)


@pytest.mark.parametrize("kind", DEMO_CLASSES)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 32), (48, 96), (33, 17), (256, 256)])
def test_size_and_mode_are_exact(kind: str, height: int, width: int):
    image = render_demo_image(kind, 0, height=height, width=width)
    assert (image.mode, image.size) == ("L", (width, height))


def test_unknown_kind_names_the_kinds():
    with pytest.raises(ValueError, match="rust") as caught:
        render_demo_image("rust", 0)
    assert all(kind in str(caught.value) for kind in DEMO_CLASSES)


@pytest.mark.parametrize("kind", DEMO_CLASSES)
@pytest.mark.parametrize("index", range(4))
def test_composition_is_the_same_at_any_size(kind: str, index: int):
    small = pixels(kind, index)
    square = pixels(kind, index, 64, 64).reshape(32, 2, 32, 2).mean(axis=(1, 3))
    wide = pixels(kind, index, 32, 96).reshape(32, 32, 3).mean(axis=2)
    other = pixels(kind, index + 1)
    assert np.abs(square - small).mean() < 2
    assert np.abs(wide - small).mean() < 2
    assert np.abs(other - small).mean() > 10


@pytest.mark.parametrize("kind", DEMO_CLASSES)
def test_contrast_is_high(kind: str):
    spread = [np.ptp(pixels(kind, index)) for index in range(20)]
    assert min(spread) > 90


def test_kinds_are_told_apart():
    """The nearest class mean of a few features names unseen images."""
    seen = {kind: collect(kind, range(40)) for kind in DEMO_CLASSES}
    unit = np.concatenate(list(seen.values())).std(axis=0) + 1e-6
    means = np.stack([seen[kind].mean(axis=0) / unit for kind in DEMO_CLASSES])
    hits = []
    for truth, kind in enumerate(DEMO_CLASSES):
        gaps = collect(kind, range(40, 60))[:, None] / unit - means
        hits.append(((gaps**2).sum(axis=2).argmin(axis=1) == truth).mean())
    assert np.mean(hits) > 0.9
    assert min(hits) > 0.7
