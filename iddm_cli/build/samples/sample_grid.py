"""The sample grid of a training: images that its EMA weights generate, or upscale."""

from pathlib import Path

from torch import Tensor

from iddm_cli import image_files
from iddm_cli.build.models import build_training_generator
from iddm_cli.build.samples.upscaled_rows import choose_originals, upscale_originals
from iddm_cli.data.packs.pack import Pack
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.distributed.group import ProcessGroup
from iddm_cli.engine.image_generator import SampleSpec, to_image
from iddm_cli.engine.sampling.latent_decoder import LatentDecoder
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.runs.run import Run

SAMPLE_SEED = 0
"""Sample grids start from the same noise in every run, so that runs and steps can be compared."""

MAX_CLASSES_IN_GRID = 64
"""With more classes a sample grid shows some of them, always the same."""


def generate_sample_grid(
    profile: ResolvedProfile,
    pack: Pack,
    run: Run,
    group: ProcessGroup,
    ema: Denoiser,
    step: int,
    *,
    decoder: LatentDecoder | None = None,
) -> Path | None:
    """Generate the sample grid, each process its share; the main process writes the file.

    Collective: every process must call it. Of a network that upscales, each image stands between
    the smaller image that it was made from and the original, see `upscaled_rows`.

    Args:
        profile: The profile.
        pack: The dataset.
        run: The run.
        group: The processes that train together.
        ema: The denoiser with the EMA weights.
        step: Number of updates made.
        decoder: The decoder of latents; None: the network generates pixels.

    Returns:
        The path of the file, in the main process.
    """
    classes = pack.classes
    labels = choose_evenly(max(1, len(classes)), MAX_CLASSES_IN_GRID)
    if profile.model.is_upscaler:
        cells = _upscale_rows(profile, pack, group, ema, labels)
    else:
        cells = _generate_rows(profile, pack, group, ema, labels, decoder)
    if not group.is_main:
        return None
    images = [to_image(one) for one in cells]
    columns = len(images) // len(labels)
    names = [classes[label] if classes else "" for label in labels]
    rows = [(name, images[i * columns : (i + 1) * columns]) for i, name in enumerate(names)]
    path = run.samples_dir / f"step-{step:08d}.png"
    image_files.save_png(image_files.make_grid(rows), path)
    return path


def _generate_rows(
    profile: ResolvedProfile,
    pack: Pack,
    group: ProcessGroup,
    ema: Denoiser,
    labels: list[int],
    decoder: LatentDecoder | None,
) -> list[Tensor]:
    """Return the cells of all rows, [H, W, C] each, in the main process."""
    count = profile.training.sample_count
    specs = [SampleSpec(label, index) for label in labels for index in range(count)]
    generator = build_training_generator(
        ema, profile, len(pack.classes), images=len(specs), group=group, decoder=decoder
    )
    samples = generator.generate(
        group.shard_items(specs), seed=SAMPLE_SEED, batch_size=profile.sampling.batch_size
    )
    return group.gather_items([sample.pixels for sample in samples], len(specs))


def _upscale_rows(
    profile: ResolvedProfile, pack: Pack, group: ProcessGroup, ema: Denoiser, labels: list[int]
) -> list[Tensor]:
    """Return three cells for each sample: smaller image, upscaled image, original."""
    originals = choose_originals(pack, labels, profile.training.sample_count)
    generator = build_training_generator(
        ema, profile, len(pack.classes), images=len(originals), group=group
    )
    share = group.shard_items(originals)
    triples = upscale_originals(profile, pack, generator, share, seed=SAMPLE_SEED)
    gathered = group.gather_items(triples, len(originals))
    return [cell for triple in gathered for cell in triple]


def count_grid_images(profile: ResolvedProfile, num_classes: int) -> int:
    """Return the number of images in a sample grid."""
    return min(max(1, num_classes), MAX_CLASSES_IN_GRID) * profile.training.sample_count


def choose_evenly(count: int, most: int) -> list[int]:
    """Return up to `most` of the numbers 0 to count - 1, evenly spaced."""
    return [i * count // min(count, most) for i in range(min(count, most))]
