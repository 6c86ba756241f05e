"""Generated images: what is in the cache is not generated again, and a stop loses one batch."""

from dataclasses import replace

import pytest
import torch

from iddm_cli.data.progress import no_progress
from iddm_cli.engine.image_generator import ImageGenerator
from iddm_cli.errors import UsageError
from iddm_cli.evaluation.generated_store import CHUNK
from iddm_cli.workflows.evaluating import generated_images
from iddm_cli.workflows.evaluating.generated_images import digest_choice, load_generated_images
from iddm_cli.workflows.evaluating.request import EvaluationRequest, SamplingGrid
from iddm_cli.workflows.evaluating.sampling_choices import list_choices

COUNTS = (30, 10)


@pytest.fixture
def generated(monkeypatch) -> list[int]:
    """The number of images of each batch that is generated."""
    sizes: list[int] = []
    original = ImageGenerator.generate_batch

    def generate_batch(self, specs, seed, recorder=None):
        sizes.append(len(specs))
        return original(self, specs, seed, recorder)

    monkeypatch.setattr(ImageGenerator, "generate_batch", generate_batch)
    return sizes


def choose(model, **grid):
    grid = SamplingGrid(**{"steps": (2,), "precisions": ("fp32",), **grid})
    return list_choices(model, EvaluationRequest(grid=grid, batch_size=16, device="cpu"))


def load(model, count: int, *, seed=0, counts=COUNTS, progress=no_progress, same_noise=False):
    (choice,) = choose(model)
    return load_generated_images(
        model, choice, counts, count, seed=seed, same_noise=same_noise, name="images",
        progress=progress,
    )  # fmt: skip


def digest(model, choice, counts=COUNTS, seed=0, own_noise=True) -> str:
    return digest_choice(model, choice, counts, seed, own_noise=own_noise)


def test_a_second_call_generates_nothing(model, generated):
    first = load(model, 40)
    assert sum(generated) == 40
    second = load(model, 40)
    assert sum(generated) == 40
    assert torch.equal(first.pixels, second.pixels)
    assert first.labels.bincount().tolist() == [30, 10]
    assert first.classes == model.classes


def test_a_larger_number_extends_a_smaller_one(model, generated):
    few = load(model, 20)
    generated.clear()
    many = load(model, 40)
    assert sum(generated) == 40 - CHUNK  # all but the whole chunks
    assert torch.equal(many.labels[:20], few.labels)
    assert (many.pixels[:20].int() - few.pixels.int()).abs().max() <= 1
    generated.clear()
    assert torch.equal(load(model, 20).pixels, many.pixels[:20])
    assert generated == []


def test_images_are_those_that_generate_makes(model):
    """Image i of a class is image i of `iddm generate --class`."""
    images = load(model, 8)
    (choice,) = choose(model)
    generator = generated_images.build_generator(model, choice)
    from iddm_cli.engine.image_generator import SampleSpec, specify_with_own_noise

    label = 1
    same = load(model, 8, same_noise=True)
    for found, specify in ((images, specify_with_own_noise), (same, SampleSpec)):
        own = found.of_class(label).pixels
        specs = [specify(label, i) for i in range(len(own))]
        alone = torch.stack([s.pixels for s in generator.generate(specs, seed=0, batch_size=1)])
        assert (alone.permute(0, 3, 1, 2).int() - own.int()).abs().max() <= 1
    assert not torch.equal(images.of_class(label).pixels, same.of_class(label).pixels)


def test_a_stop_keeps_the_whole_chunks_and_the_next_call_continues(model, generated, capsys):
    done = []

    def stop(stage: str, count: int, total: int) -> None:
        done.append(count)
        if count == CHUNK + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(model, 40, progress=stop)
    assert f"{CHUNK} of 40 images are kept" in capsys.readouterr().err
    generated.clear()
    load(model, 40)
    assert sum(generated) == 40 - CHUNK


def test_a_damaged_chunk_is_generated_again(model, generated, cache):
    before = load(model, 40)
    (damaged,) = cache.glob("evaluations/generated/*/000016.safetensors")
    damaged.write_bytes(b"damaged")
    generated.clear()
    after = load(model, 40)
    assert generated == [CHUNK]
    assert torch.equal(before.pixels, after.pixels)


def test_a_cache_that_cannot_be_written_is_a_warning(model, monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "file"))
    assert len(load(model, 40)) == 40
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_everything_that_decides_the_images_decides_their_key(model, tmp_path, model_bytes):
    (choice,) = choose(model)
    key = digest(model, choice, COUNTS, 0)
    assert key == digest(model, choose(model)[0], COUNTS, 0)
    others = choose(model, steps=(3,)) + choose(model, guidances=(1.5,))
    others += choose(model, samplers=("ddpm",)) + choose(model, precisions=("bf16",))
    others += choose(model, intervals=((0.2, 0.8),))
    keys = {digest(model, other, COUNTS, 0) for other in others}
    keys |= {digest(model, choice, (30, 11), 0), digest(model, choice, COUNTS, 1)}

    class OtherWeights:
        step = 500

        def digest(self, part: str) -> str:
            return "another"

    keys.add(digest(model, replace(choice, source=OtherWeights()), COUNTS, 0))
    keys.add(digest(model, choice, own_noise=False))
    assert len(keys) == 9
    assert key not in keys


def test_images_that_would_fill_the_memory_are_refused(model, monkeypatch):
    monkeypatch.setattr(generated_images, "MOST_BYTES", 10_000)
    with pytest.raises(UsageError, match="--count 40: these images take"):
        load(model, 40)
