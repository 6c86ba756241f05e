"""Trajectories as files: the way from noise to image as a strip, and as an animation.

<out>/trajectory-<class>-000007.png     rows of x_t and of the estimates of x
<out>/trajectory-<class>-000007.webp    x_t at every step, and the finished image; or .gif
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from iddm_cli import durable, image_files
from iddm_cli.workflows.generating.generate_options import AnimationName
from iddm_cli.workflows.generating.image_plan import PlannedImage
from iddm_cli.workflows.generating.output.file_names import shorten_name
from iddm_cli.workflows.generating.output.output_layout import OutputLayout

if TYPE_CHECKING:
    from torch import Tensor

    from iddm_cli.engine.sampling.trajectories import Trajectory

MOST_IMAGES = 16
"""Images whose trajectories are written at most: the first of each class, then the second, …"""

MOST_FRAMES = 60
"""Steps of a trajectory that are recorded at most."""

MOST_BYTES = 2**30
"""Memory that recorded steps may take; of large images, fewer are recorded."""

STRIP_COLUMNS = 10
LONGER_SIDE = 128
"""Small images are enlarged to about so many pixels in an animation, by a whole factor."""

FRAME_MS, LAST_MS = 80, 1500
"""How long an animation shows each step, and the finished image, in milliseconds."""


def choose_images(images: Sequence[PlannedImage]) -> list[PlannedImage]:
    """Return the images whose trajectories are written."""
    places: dict[tuple[int, int | None], int] = {}
    ranked: list[tuple[int, int]] = []
    for number, image in enumerate(images):
        group = (image.spec.label, image.spec.source)
        ranked.append((places.get(group, 0), number))
        places[group] = places.get(group, 0) + 1
    return [images[number] for _, number in sorted(ranked)[:MOST_IMAGES]]


def count_frames(shape: tuple[int, int, int], images: int) -> int:
    """Return how many steps are recorded at most, of so many images of a shape."""
    bytes_of_step = 2 * images * shape[0] * shape[1] * shape[2]
    return max(STRIP_COLUMNS, min(MOST_FRAMES, MOST_BYTES // bytes_of_step))


def locate_trajectory(
    layout: OutputLayout, image: PlannedImage, form: AnimationName
) -> tuple[Path, Path]:
    """Return where the strip and the animation of one image are written."""
    path = layout.planned_path(image)
    # Images of two classes may have the same name.
    name = f"{path.parent.name}-{path.stem}" if image.stem else path.stem
    stem = f"trajectory-{shorten_name(name)}"
    return layout.folder / f"{stem}.png", layout.folder / f"{stem}.{form}"


def write_trajectory(
    layout: OutputLayout,
    image: PlannedImage,
    trajectory: "Trajectory",
    pixels: "Tensor",
    form: AnimationName,
) -> None:
    """Write the strip and the animation of one image.

    Args:
        layout: The folder.
        image: The image.
        trajectory: Its trajectory, as pixels.
        pixels: Its finished pixels, [H, W, C].
        form: The format of the animation.
    """
    from iddm_cli.engine.image_generator import to_image
    from iddm_cli.engine.sampling.trajectories import choose_steps

    noisy, estimates = (
        [to_image(pixels.permute(1, 2, 0).contiguous()) for pixels in frames]
        for frames in (trajectory.x_t, trajectory.denoised)
    )
    last = to_image(pixels)
    columns = choose_steps(len(noisy), STRIP_COLUMNS - 1)
    rows = [
        ("x_t", [*(noisy[k] for k in columns), last]),
        ("estimate", [*(estimates[k] for k in columns), last]),
    ]
    strip, animation = locate_trajectory(layout, image, form)
    image_files.save_png(image_files.make_grid(rows), strip)
    durable.write_file(animation, encode_animation([*noisy, last], form), flush=False)


def encode_animation(frames: Sequence[Image.Image], form: AnimationName) -> bytes:
    """Encode frames, of which the last one is shown longer, as an endless animation."""
    factor = max(1, round(LONGER_SIDE / max(frames[0].size)))
    size = (frames[0].width * factor, frames[0].height * factor)
    enlarged = [frame.resize(size, Image.Resampling.NEAREST) for frame in frames]
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    buffer = io.BytesIO()
    more = {"quality": 90, "method": 4} if form == "webp" else {}
    enlarged[0].save(
        buffer, form.upper(), save_all=True, append_images=enlarged[1:], duration=durations,
        loop=0, **more,
    )  # fmt: skip
    return buffer.getvalue()
