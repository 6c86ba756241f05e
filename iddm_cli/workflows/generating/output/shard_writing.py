"""Generate images into shards: whole files of whole batches, each by one process.

Which images a shard has depends on the plan alone. So several processes and machines divide the
shards among them, and a generation that was cut off continues with those that are missing.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli import durable
from iddm_cli.display import console
from iddm_cli.display.progress import show_progress
from iddm_cli.extras import require_extra
from iddm_cli.workflows.generating.generation import Generation
from iddm_cli.workflows.generating.image_plan import PlannedImage
from iddm_cli.workflows.generating.image_shares import make_batches
from iddm_cli.workflows.generating.image_writing import report, run_batches
from iddm_cli.workflows.generating.output.background_writer import BackgroundWriter
from iddm_cli.workflows.generating.output.existing_images import MissingImages, adopt_folder
from iddm_cli.workflows.generating.output.output_files import describe_folder, encode
from iddm_cli.workflows.generating.output.output_layout import MANIFEST
from iddm_cli.workflows.generating.output.shard_checks import find_shard_problem
from iddm_cli.workflows.generating.output.shard_files import SHARD_FILES, ShardFile, ShardImage

if TYPE_CHECKING:
    from torch import Tensor

SHARD_IMAGES = 1000
"""Images of a shard, at most, unless one batch has more."""


@dataclass(frozen=True)
class PlannedShard:
    """A shard to generate.

    Attributes:
        path: Its file.
        first: Position of its first image in the plan.
        batches: Its batches.
    """

    path: Path
    first: int
    batches: Sequence[Sequence[PlannedImage]]

    @property
    def count(self) -> int:
        """Number of its images."""
        return sum(map(len, self.batches))


def plan_shards(
    folder: Path, form: str, images: Sequence[PlannedImage], batch_size: int
) -> list[PlannedShard]:
    """Return the shards of a plan: whole batches, as many as make SHARD_IMAGES.

    Args:
        folder: The folder.
        form: tar or parquet.
        images: The images of the plan, in order.
        batch_size: Images of a batch.
    """
    batches = make_batches(images, batch_size)
    each = max(1, SHARD_IMAGES // batch_size)
    groups = make_batches(batches, each)
    width = max(5, len(str(len(groups) - 1)))
    return [
        PlannedShard(folder / f"{number:0{width}d}.{form}", number * each * batch_size, group)
        for number, group in enumerate(groups)
    ]


def generate_shards(generation: Generation) -> None:
    """Generate the shards of a share that are missing.

    Raises:
        IddmError: The folder cannot be written to, or holds images of another generation.
    """
    layout, plan, options = generation.layout, generation.plan, generation.options
    form = str(options.to)
    if form == "parquet":
        require_extra("parquet", ["pyarrow"], needed_by="--to parquet")
    layout.create_folder()
    batch_size = generation.profile.sampling.batch_size
    shards = plan_shards(layout.folder, form, plan.images, batch_size)
    manifest = describe_folder(layout, generation.metadata, (), plan.facts)
    manifest |= {"to": form, "samples": len(plan.images), "samples_per_shard": shards[0].count}
    manifest["plan"] = _digest_plan(plan.images)
    manifest["images"] = [shard.path.name for shard in shards]
    total = len(plan.images)
    with layout.report_failed_write(0, total):
        adopt_folder(layout.folder, manifest, overwrite=options.overwrite)
    missing = [
        shard
        for shard in generation.shard.select(shards)
        if options.overwrite or find_shard_problem(shard.path, decode=False)
    ]
    written = _write_missing(generation, missing)
    own = [shard.path for shard in generation.shard.select(shards)]
    durable.remove_leftovers([*own, layout.folder / MANIFEST])
    generation.group.gather_object(None)  # until the others have written theirs
    absent = sum(shard.count for shard in shards if not shard.path.exists())
    report(generation, manifest, None, written=written, absent=absent)


def _digest_plan(images: Sequence[PlannedImage]) -> str:
    """Return a digest of which images there are, in which order."""
    facts = [[image.spec.label, image.spec.index, image.stem] for image in images]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _write_missing(generation: Generation, missing: Sequence[PlannedShard]) -> int:
    """Write shards, and return the number of their images."""
    layout, total, done = generation.layout, sum(shard.count for shard in missing), 0
    writer = BackgroundWriter(generation.profile.sampling.batch_size)
    try:
        with show_progress() as progress, ExitStack() as files, writer:
            for shard in missing:
                with layout.report_failed_write(done, total):
                    file = SHARD_FILES[str(generation.options.to)](shard.path, layout.classes)
                files.enter_context(file)
                for position, (image, pixels) in enumerate(
                    _generate(generation, shard), shard.first
                ):
                    add = partial(_add_image, file, generation, position, image, pixels)
                    with layout.report_failed_write(done, total):
                        writer.submit(add)
                    done += 1
                    progress("generating images", done, total)
                with layout.report_failed_write(done, total):
                    writer.submit(file.publish)
            with layout.report_failed_write(done, total):
                writer.finish()
    except KeyboardInterrupt:
        console.print_note(
            f"whole shards are kept; the same command with --out {layout.folder} generates the "
            "others"
        )
        raise
    return total


def _generate(
    generation: Generation, shard: PlannedShard
) -> "Iterator[tuple[PlannedImage, Tensor]]":
    """Yield the images of a shard, in order, and the pixels of each, [H, W, C]."""
    batches = MissingImages(list(shard.batches), frozenset())
    for image, pixels, _ in run_batches(generation, batches):
        yield image, pixels


def _add_image(
    file: ShardFile, generation: Generation, position: int, image: PlannedImage, pixels: "Tensor"
) -> None:
    """Encode an image, and append it to a shard.

    Args:
        file: The shard.
        generation: The generation.
        position: The image's position in the plan.
        image: The image.
        pixels: Its pixels, [H, W, C].
    """
    layout, metadata = generation.layout, generation.metadata
    facts = metadata.to_json() | {"index": image.spec.index} | dict(image.notes)
    file.add(
        ShardImage(
            key=f"{position:06d}",
            suffix=layout.form,
            content=encode(layout, metadata, image, pixels),
            label=image.spec.label if layout.classes else None,
            metadata=facts,
        )
    )
