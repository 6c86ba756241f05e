"""Values through the command: 16 bits in, 16 bits out; many bands; labels; mixtures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.image_files import encode_image

from .conftest import Shell

TINY = """
data: {image_size: 16}
model: {base_channels: 8, channel_multipliers: [1], blocks_per_level: 1, attention_levels: [],
        norm_groups: 4, head_channels: 8}
training: {epochs: null, steps: 2, batch_size: 4, sample_count: 1}
runtime: {device: cpu}
"""


@pytest.fixture(scope="module")
def hospital(tmp_path_factory, cache) -> Shell:
    """A folder with images like X-rays, of 12 bits and a narrow range; and a run, `lungs`."""
    shell = Shell(tmp_path_factory.mktemp("hospital"), cache)
    (shell.folder / "tiny.yaml").write_text(TINY)
    for i in range(8):
        save(shell.folder / "xrays" / f"{i}.png", xray(i))
    answer = train(shell, "xrays", "lungs")
    assert "300 to 3,300 (uint16) become black to white" in flat(answer.err)
    return shell


def xray(seed: int) -> np.ndarray:
    y, x = np.mgrid[:20, :20] - 10
    noise = np.random.default_rng(seed).normal(0, 0.05, (20, 20))
    values = 300 + 3000 * np.clip(np.hypot(x, y) / 13 + noise, 0, 1)
    values[0, :2] = 300, 3300
    return values.astype(np.uint16)


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        path.write_bytes(encode_image(Image.fromarray(values), "png"))


def train(shell: Shell, data: str, name: str, *words: str, expect: int = 0):
    return shell.iddm(
        "train", "--profile", "tiny.yaml", "--data", data, "--name", name, *words, expect=expect
    )


def flat(text: str) -> str:
    """The text without the line breaks of the terminal."""
    return " ".join(text.split())


def test_16_bits_in_16_bits_out(hospital):
    answer = hospital.iddm("generate", "lungs", "--count", "3", "--format", "png", "--out", "png")
    assert "values 300 to 3,300 (uint16)" in flat(answer.err)
    for path in (hospital.folder / "png/images").iterdir():
        with Image.open(path) as image:
            assert image.mode == "I;16"
            assert image.text["iddm:run"] == "lungs"
            values = np.asarray(image)
        assert values.min() >= 300 and values.max() <= 3300
    manifest = json.loads((hospital.folder / "png/manifest.json").read_text())
    assert (manifest["values"]["low"], manifest["values"]["high"]) == ([300.0], [3300.0])
    assert Image.open(hospital.folder / "png/grid.png").mode == "RGB"


def test_other_formats_hold_the_same_values_or_are_refused(hospital):
    hospital.iddm("generate", "lungs", "--count", "1", "--out", "a")
    hospital.iddm("generate", "lungs", "--count", "1", "--format", "npy", "--out", "b")
    values = np.load(hospital.folder / "b/images/image-000000.npy")
    assert (values.shape, values.dtype) == ((16, 16, 1), np.uint16)
    png = np.asarray(Image.open(hospital.folder / "a/images/image-000000.png"))
    assert (values[..., 0] == png).all()
    words = ("generate", "lungs", "--format", "jpg", "--out", "c")
    answer = hospital.iddm(*words, expect=2)
    assert "--format jpg cannot hold the images of this model" in flat(answer.err)
    assert "--format npy" in flat(answer.err)
    assert not (hospital.folder / "c").exists()


def test_an_exported_file_and_its_import_keep_the_range(hospital):
    hospital.iddm("export", "safetensors", "lungs")
    hospital.iddm("generate", "lungs.safetensors", "--count", "1", "--out", "d")
    hospital.iddm("import", "lungs.safetensors", "--name", "back")
    hospital.iddm("generate", "back", "--count", "1", "--out", "e")
    files = [hospital.folder / name / "images/image-000000.png" for name in "de"]
    first, second = (np.asarray(Image.open(file)) for file in files)
    assert first.dtype == np.uint16 and 300 <= first.min() <= first.max() <= 3300
    assert (first == second).all()


def test_a_resumed_run_keeps_its_range(hospital):
    dataset = hospital.folder / "runs/lungs/dataset.json"
    before = json.loads(dataset.read_text())
    assert before["values"]["dtype"] == "uint16"
    words = ("resume", "lungs", "--set", "data.value_range=[0, 4095]")
    answer = hospital.iddm(*words, expect=2)
    assert "data.value_range cannot change once a run has started" in flat(answer.err)
    answer = hospital.iddm("resume", "lungs", "--steps", "4")
    assert "resumed at step 2 of 4" in flat(answer.err)
    assert json.loads(dataset.read_text()) == before


def test_many_bands_train_and_generate(hospital):
    random = np.random.default_rng(0)
    for i in range(8):
        values = random.integers(0, 10_000, (20, 20, 5)) // np.array([1, 2, 5, 10, 100])
        save(hospital.folder / "bands" / f"{i}.npy", values.astype(np.uint16))
    answer = train(hospital, "bands", "five")
    assert "5 bands, of which sample grids show the first three" in flat(answer.err)
    answer = hospital.iddm("generate", "five", "--count", "2", "--format", "npy", "--out", "n")
    assert "5 bands, of which grid.png shows the first three" in flat(answer.err)
    values = np.load(hospital.folder / "n/images/image-000000.npy")
    assert (values.shape, values.dtype) == ((16, 16, 5), np.uint16)
    assert (values.max(axis=(0, 1)) <= [9999, 4999, 1999, 999, 99]).all()
    answer = hospital.iddm("generate", "five", "--format", "png", "--out", "no", expect=2)
    assert "they have 5 bands" in flat(answer.err)


def test_labels_train_over_their_own_range(hospital):
    random = np.random.default_rng(0)
    for i in range(8):
        save(hospital.folder / "labels" / f"{i}.png", random.integers(0, 3, (20, 20), np.uint8))
    answer = train(hospital, "labels", "classes")
    assert "0 to 2 (uint8) become black to white" in flat(answer.err)
    hospital.iddm("generate", "classes", "--count", "1", "--out", "l")
    with Image.open(hospital.folder / "l/images/image-000000.png") as image:
        assert image.mode == "L"
        assert image.getextrema()[1] <= 2


def test_a_mixture_is_refused_with_what_to_set(hospital):
    folder = hospital.folder / "mixed"
    for i in range(3):
        save(folder / f"a{i}.png", xray(i))
        save(folder / f"b{i}.png", xray(i).astype(np.uint8))
    answer = train(hospital, "mixed", "mixed", expect=3)
    assert "without a common range (3 of uint" in flat(answer.err)
    assert "data.value_range: [low, high]" in flat(answer.err)
    train(hospital, "mixed", "mixed", "--dry-run", "--set", "data.value_range=[0, 4095]")
