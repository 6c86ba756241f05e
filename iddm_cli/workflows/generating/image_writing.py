"""Generate a share of the images, and write those that are not there yet.

One or several processes generate the batches of one plan. None of them needs another: whichever
finds all images there at its end draws the overview.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli import durable
from iddm_cli.display import console
from iddm_cli.display.progress import show_progress
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.workflows.generating.generate_options import GenerateOptions
from iddm_cli.workflows.generating.generation import Generation
from iddm_cli.workflows.generating.generation_plan import GenerationPlan
from iddm_cli.workflows.generating.image_plan import PlannedImage
from iddm_cli.workflows.generating.image_shares import make_batches
from iddm_cli.workflows.generating.output.background_writer import BackgroundWriter
from iddm_cli.workflows.generating.output.existing_images import (
    MissingImages,
    adopt_folder,
    count_missing,
    find_missing,
    read_pixels,
)
from iddm_cli.workflows.generating.output.output_files import (
    GRID,
    GridRows,
    describe_folder,
    write_grid,
    write_image,
)
from iddm_cli.workflows.generating.output.output_layout import MANIFEST, OutputLayout
from iddm_cli.workflows.generating.output.trajectory_files import (
    choose_images,
    count_frames,
    locate_trajectory,
    write_trajectory,
)

if TYPE_CHECKING:
    from torch import Tensor

    from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
    from iddm_cli.engine.sampling.trajectories import Trajectory, TrajectoryRecorder
    from iddm_cli.engine.sampling.upscaler import Cascade
    from iddm_cli.profiles.profile import ResolvedProfile


def generate_images(generation: Generation) -> None:
    """Generate the images of a share that are missing, and write each as it comes.

    Raises:
        IddmError: The folder cannot be written to, or holds images of another generation.
    """
    layout, plan, options = generation.layout, generation.plan, generation.options
    layout.create_folders()
    manifest = describe_folder(layout, generation.metadata, plan.images, list_facts(generation))
    with layout.report_failed_write(0, len(plan.images)):
        adopt_folder(layout.folder, manifest, overwrite=options.overwrite)
    missing = find_left(generation)
    rows = plan.collect_rows(layout)
    written = write_missing(generation, missing, rows)
    remove_own_leftovers(generation)
    generation.group.gather_object(None)  # until the others have written theirs
    absent = count_missing(layout, plan.images)
    grid = None
    if layout.grid and not absent:
        with layout.report_failed_write(len(plan.images), len(plan.images)):
            grid = draw_grid(generation, rows)
    report(generation, manifest, grid, written=written, absent=absent)


def list_facts(generation: Generation) -> dict[str, object]:
    """Return what the manifest records of the plan, with the names of trajectories."""
    layout, plan, form = generation.layout, generation.plan, generation.options.trajectory
    if form is None:
        return plan.facts
    paths = [locate_trajectory(layout, image, form) for image in choose_images(plan.images)]
    return plan.facts | {"trajectories": [path.name for pair in paths for path in pair]}


def select_share(generation: Generation) -> list[Sequence[PlannedImage]]:
    """Return the batches of this process."""
    batches = make_batches(generation.plan.images, generation.profile.sampling.batch_size)
    return generation.shard.select(batches)


def remove_own_leftovers(generation: Generation) -> None:
    """Remove what killed processes left beside the images of this process, and the manifest."""
    layout = generation.layout
    images = [layout.planned_path(image) for batch in select_share(generation) for image in batch]
    durable.remove_leftovers([*images, layout.folder / MANIFEST, layout.folder / GRID])


def find_left(generation: Generation) -> MissingImages:
    """Return what is left to generate of a share; with --overwrite, all of it."""
    layout, plan, options = generation.layout, generation.plan, generation.options
    share = select_share(generation)
    if options.overwrite:
        paths = (layout.planned_path(image) for batch in share for image in batch)
        return MissingImages(share, frozenset(paths))
    chosen = [] if options.trajectory is None else choose_images(plan.images)
    companions = {
        layout.planned_path(image): locate_trajectory(layout, image, options.trajectory)
        for image in chosen
        if options.trajectory is not None
    }
    with show_progress() as progress:
        return find_missing(layout, share, companions, progress)


def write_missing(generation: Generation, missing: MissingImages, rows: GridRows) -> int:
    """Generate batches, and write those of their images that are missing; return their number.

    Args:
        generation: The generation.
        missing: What is left of this process's share.
        rows: Collects images for the overview.

    Raises:
        IddmError: The folder cannot be written to.
    """
    layout, options = generation.layout, generation.options
    total = len(missing.wanted)
    stage = "generating images"
    if generation.group.world_size > 1:
        stage += f", process 1 of {generation.group.world_size}"
    writer = BackgroundWriter(generation.profile.sampling.batch_size)
    try:
        with show_progress() as progress, writer:
            done = 0
            for image, pixels, way in run_batches(generation, missing):
                if layout.planned_path(image) not in missing.wanted:
                    continue
                write = partial(
                    _write_one, layout, generation.metadata, image, pixels, way, options
                )
                with layout.report_failed_write(writer.written, total):
                    writer.submit(write)
                rows.add(image, pixels)
                done += 1
                progress(stage, done, total)
            with layout.report_failed_write(writer.written, total):
                writer.finish()
    except KeyboardInterrupt:
        console.print_note(
            f"{writer.written:,} of {total:,} images were generated; the same command with --out "
            f"{layout.folder} generates the others"
        )
        raise
    return total


def _write_one(
    layout: OutputLayout,
    metadata: SamplingMetadata,
    image: PlannedImage,
    pixels: "Tensor",
    way: "Trajectory | None",
    options: GenerateOptions,
) -> None:
    if way is not None and options.trajectory is not None:
        write_trajectory(layout, image, way, pixels, options.trajectory)
    write_image(layout, metadata, image, pixels)


def run_batches(
    generation: Generation, missing: MissingImages
) -> "Iterator[tuple[PlannedImage, Tensor, Trajectory | None]]":
    """Yield each image of some batches, its pixels, [H, W, C], and its trajectory if recorded."""
    generator, options = generation.generator, generation.options
    recorder = build_recorder(generation.plan, generator, options)
    for batch in missing.batches:
        specs = [image.spec for image in batch]
        samples = generator.generate(
            specs, seed=options.seed, batch_size=len(batch), recorder=recorder
        )
        for image, sample in zip(batch, samples, strict=True):
            yield image, sample.pixels, recorder.take(image.spec) if recorder else None


def build_recorder(
    plan: GenerationPlan, generator: "ImageGenerator | Cascade", options: GenerateOptions
) -> "TrajectoryRecorder[SampleSpec] | None":
    """Return what records the trajectories that are asked for; None where none are."""
    from iddm_cli.engine.image_generator import ImageGenerator, to_pixels
    from iddm_cli.engine.sampling.trajectories import TrajectoryRecorder

    if options.trajectory is None:
        return None
    assert isinstance(generator, ImageGenerator), "--upscale and --trajectory contradict each other"
    chosen = choose_images(plan.images)
    if len(chosen) < len(plan.images):
        console.print_note(
            f"--trajectory: of {len(plan.images):,} images, the trajectories of {len(chosen)} are "
            "written (--count or --index chooses others)"
        )
    specs = [image.spec for image in chosen]
    return TrajectoryRecorder(
        specs,
        steps=len(generator.solver_table),
        most=count_frames(generator.shape, len(specs)),
        convert=to_pixels,
    )


def draw_grid(generation: Generation, rows: GridRows) -> Path:
    """Write the overview, with the images of other processes and of earlier calls."""
    import torch

    from iddm_cli.data.decoding.preprocess import PixelSpec

    layout, data = generation.layout, generation.profile.data
    spec = PixelSpec(data.size, data.channels, data.aspect, data.background, layout.values)

    def read(path: Path) -> "Tensor | None":
        pixels = read_pixels(path, spec)
        if pixels is None:
            return None
        wide = pixels if layout.values.is_8_bit else pixels.astype("int32")
        return torch.from_numpy(wide.copy())

    rows.fill(read)
    return write_grid(layout, rows.list_rows())


def report(
    generation: Generation,
    manifest: dict[str, object],
    grid: Path | None,
    *,
    written: int,
    absent: int,
) -> None:
    """Print what was generated.

    Args:
        generation: The generation.
        manifest: The manifest of the folder.
        grid: The overview; None: there is none.
        written: How many images this process has written.
        absent: How many images of the whole have no file yet.
    """
    layout, generator = generation.layout, generation.generator
    total = len(generation.plan.images)
    if generation.options.as_json:
        more = {"out": str(layout.folder), "grid": grid and str(grid), "missing": absent}
        console.print_json(manifest | more)
    else:
        console.print_result(str(grid or layout.folder))
        console.print_note(
            f"{total - absent:,} images in {layout.folder}, computed in {generator.precision}"
            f"{_describe_files(layout, generation.profile)}"
            f"{_describe_progress(generation, written=written, absent=absent)}"
        )
    if not generator.is_invariant:
        console.print_warning(
            f"on this machine an image in {generator.precision} depends on its batch; for images "
            "that do not: --precision fp32"
        )


def _describe_progress(generation: Generation, *, written: int, absent: int) -> str:
    """Return what was there before, and what others have to generate."""
    if absent:
        return f"; {absent:,} are left to the other shares"
    before = len(generation.plan.images) - written
    if generation.shard.count > 1 or before <= 0:
        return ""
    return f"; {before:,} of them were there already"


def _describe_files(layout: OutputLayout, profile: "ResolvedProfile") -> str:
    """Return what the files hold, unless they are ordinary images of 8 bits."""
    channels = profile.data.channels
    values = "" if layout.values.is_8_bit else f"; values {layout.values.describe()}"
    if channels in (1, 3):
        return values
    shown = "the first" if channels == 2 else "the first three"
    return f"{values}; {channels} bands" + (f", of which grid.png shows {shown}" * layout.grid)
