"""The generated images of a model: from the cache, and the rest generated and kept there."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from iddm_cli import __version__
from iddm_cli.data.cache import describe_entry, hold_entry
from iddm_cli.display import console
from iddm_cli.errors import UsageError
from iddm_cli.workflows.latents.own_encoder import load_model_decoder
from iddm_cli.workflows.tuning.tuned_models import select_tables

if TYPE_CHECKING:
    from torch import Tensor

    from iddm_cli.data.progress import ProgressCallback
    from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
    from iddm_cli.evaluation.generated_store import GeneratedStore
    from iddm_cli.evaluation.image_set import ImageSet
    from iddm_cli.workflows.evaluating.sampling_choices import SamplingChoice
    from iddm_cli.workflows.models import ModelSource

FORMAT = 1
MOST_BYTES = 4 * 2**30
"""Bytes of the pixels of one set of generated images."""


def load_generated_images(
    model: "ModelSource",
    choice: "SamplingChoice",
    class_counts: Sequence[int],
    count: int,
    *,
    seed: int,
    same_noise: bool,
    name: str,
    progress: "ProgressCallback",
) -> "ImageSet":
    """Return images of a model, in the class proportions of real ones.

    Those that an earlier call generated are read from the cache; each batch is kept there as soon
    as it is done, so that an interrupted call can be continued.

    Args:
        model: The model.
        choice: Its weights and sampling settings.
        class_counts: Number of real images of each class; one number without classes.
        count: Number of images to generate.
        seed: Random seed.
        same_noise: Whether image i of every class starts from the same noise.
        name: What messages and reports call the images.
        progress: Called after every batch.

    Raises:
        IddmError: The weights are damaged, or the images would fill the memory.
    """
    import torch

    from iddm_cli.data.loader.stores import pixel_dtype
    from iddm_cli.evaluation.generated_store import GeneratedStore
    from iddm_cli.evaluation.image_set import ImageSet
    from iddm_cli.evaluation.label_plan import plan_labels

    shape = choice.profile.data.shape
    _check_memory(count, shape[0] * shape[1] * shape[2] * model.values.level_dtype.itemsize)
    labels = plan_labels(class_counts, count)
    own_noise = bool(model.classes) and not same_noise
    key = digest_choice(model, choice, class_counts, seed, own_noise=own_noise)
    origin = f"{model.name}, step {choice.source.step}"
    folder = describe_entry("generated", key, origin)
    store = GeneratedStore(folder, labels, shape, pixel_dtype(model.values))
    with hold_entry(folder, progress):
        pixels = _fill(store, model, choice, seed, progress, own_noise=own_noise)
    known = bool(model.classes)
    return ImageSet(
        name=name,
        pixels=pixels,
        labels=torch.tensor(labels) if known else None,
        classes=model.classes,
    )


def _check_memory(count: int, image_bytes: int) -> None:
    if count * image_bytes > MOST_BYTES:
        raise UsageError(
            f"--count {count}: these images take {count * image_bytes / 1e9:.1f} GB of memory",
            f"Generate at most {MOST_BYTES // image_bytes:,} images of this size.",
        )


def digest_choice(
    model: "ModelSource",
    choice: "SamplingChoice",
    class_counts: Sequence[int],
    seed: int,
    *,
    own_noise: bool,
) -> str:
    """Return the key of the images in the cache: a digest of all that they depend on."""
    from iddm_cli.workflows.sampling.sampling_precision import list_facts

    facts = [
        FORMAT,
        __version__,
        *list_facts(model, choice.profile, choice.source, choice.guide),
        choice.precision,
        list(class_counts),
        seed,
        *["own noise"] * own_noise,
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _fill(
    store: "GeneratedStore",
    model: "ModelSource",
    choice: "SamplingChoice",
    seed: int,
    progress: "ProgressCallback",
    *,
    own_noise: bool,
) -> "Tensor":
    """Return all images of a store, [N, C, H, W]; those that it lacks are generated."""
    import torch

    from iddm_cli.engine.image_generator import SampleSpec, specify_with_own_noise
    from iddm_cli.evaluation.generated_store import CHUNK
    from iddm_cli.evaluation.label_plan import index_within_classes

    total = len(store.labels)
    pixels = torch.empty((total, *store.shape), dtype=store.dtype)
    missing: list[int] = []
    for start in store.starts():
        chunk = store.read(start)
        if chunk is None:
            missing += range(start, min(start + CHUNK, total))
        else:
            pixels[start : start + len(chunk)] = chunk
    if not missing:
        return pixels
    indices = index_within_classes(store.labels)
    specify = specify_with_own_noise if own_noise else SampleSpec
    specs = [specify(store.labels[i], indices[i]) for i in missing]
    writer = _ChunkWriter(store, pixels)
    samples = _generate(build_generator(model, choice), specs, choice, seed, store.dtype)
    done = total - len(missing)
    try:
        for i, sample in zip(missing, samples, strict=True):
            pixels[i] = sample
            writer.note(i)
            done += 1
            progress(f"generating images ({model.name})", done, total)
    except KeyboardInterrupt:
        kept = total - len(missing) + writer.written
        console.print_note(
            f"{kept:,} of {total:,} images are kept in the cache; to continue, repeat the command"
        )
        raise
    return pixels


class _ChunkWriter:
    """Writes each chunk as soon as its last image is there; stops where the disk refuses it."""

    def __init__(self, store: "GeneratedStore", pixels: "Tensor") -> None:
        self.store = store
        self.pixels = pixels
        self.written = 0
        self.failed = False

    def note(self, index: int) -> None:
        """Note that an image is there; the images of a chunk come in order."""
        from iddm_cli.evaluation.generated_store import CHUNK

        start = index - index % CHUNK
        end = min(start + CHUNK, len(self.pixels))
        if index != end - 1 or self.failed:
            return
        try:
            self.store.write(start, self.pixels[start:end])
            self.written += end - start
        except OSError as error:
            self.failed = True
            console.print_warning(
                f"the cache cannot be written, so these images are not kept: {error.strerror}"
            )


def build_generator(model: "ModelSource", choice: "SamplingChoice") -> "ImageGenerator":
    """Build the image generator of a choice.

    Raises:
        IddmError: The weights are damaged, or this machine lacks the device.
    """
    from iddm_cli.build.compute import setup_compute
    from iddm_cli.build.models import build_image_generator

    compute = setup_compute(choice.profile.runtime)
    weaker = choice.guide.load_denoiser(compute.device) if choice.guide else None
    generator = build_image_generator(
        choice.profile,
        model.classes,
        choice.source,
        compute,
        model.values,
        weaker=weaker,
        tables=select_tables(model, choice.profile),
        decoder=load_model_decoder(model, choice.profile, compute.device),
    )
    return generator.with_precision(choice.precision)


def _generate(
    generator: "ImageGenerator",
    specs: "Sequence[SampleSpec]",
    choice: "SamplingChoice",
    seed: int,
    dtype: object,
) -> "Iterator[Tensor]":
    """Yield the levels of each image, [C, H, W]."""
    import torch

    batch_size = choice.profile.sampling.batch_size
    for sample in generator.generate(specs, seed=seed, batch_size=batch_size):
        levels = sample.pixels.permute(2, 0, 1)
        yield levels.to(torch.uint16) if dtype == torch.uint16 else levels
