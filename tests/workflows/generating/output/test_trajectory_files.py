"""Trajectories as files: which images, and what strip and animation show."""

import io

import pytest
import torch
from PIL import Image

from iddm_cli.engine.image_generator import SampleSpec
from iddm_cli.engine.sampling.trajectories import Trajectory
from iddm_cli.workflows.generating.image_plan import PlannedImage, plan_images
from iddm_cli.workflows.generating.output.output_layout import OutputLayout
from iddm_cli.workflows.generating.output.trajectory_files import (
    MOST_IMAGES,
    choose_images,
    count_frames,
    encode_animation,
    locate_trajectory,
    write_trajectory,
)


def test_of_many_images_the_first_of_every_class_come_first():
    few = plan_images([0, 1], range(3), own_noise=False)
    assert {id(image) for image in choose_images(few)} == {id(image) for image in few}
    many = plan_images(list(range(6)), range(10), own_noise=False)
    chosen = [(image.spec.index, image.spec.label) for image in choose_images(many)]
    assert chosen == sorted(chosen)
    assert len(chosen) == MOST_IMAGES
    assert chosen[:7] == [(0, label) for label in range(6)] + [(1, 0)]


@pytest.mark.parametrize("form", ["webp", "gif"])
def test_strip_and_animation_end_with_the_image(tmp_path, form):
    layout = OutputLayout(tmp_path, ("cat",), [0], "png", grid=False)
    steps = [torch.full((1, 8, 8), level, dtype=torch.uint8) for level in (0, 128, 190)]
    way = Trajectory(x_t=steps, denoised=steps)
    image = PlannedImage(SampleSpec(0, 7))
    pixels = torch.full((8, 8, 1), 255, dtype=torch.uint8)
    write_trajectory(layout, image, way, pixels, form)
    strip, animation = locate_trajectory(layout, image, form)
    assert [strip.name, animation.name] == [
        "trajectory-cat-000007.png",
        f"trajectory-cat-000007.{form}",
    ]
    with Image.open(animation) as frames:
        assert (frames.n_frames, frames.size) == (4, (128, 128))
        frames.seek(3)
        assert frames.convert("L").getpixel((5, 5)) > 250
        frames.seek(0)
        assert frames.convert("L").getpixel((5, 5)) < 5
    with Image.open(strip) as sheet:
        grey = sheet.convert("L")
        assert grey.getpixel((grey.width - 30, 30)) == 255, "the last column is the image"
        assert sheet.height == 2 * 68 + 4


def test_images_of_the_same_name_in_two_classes_have_two_trajectories(tmp_path):
    layout = OutputLayout(tmp_path, ("cat", "dog"), [0, 1], "png", grid=False)
    way = Trajectory(*([torch.zeros(1, 8, 8, dtype=torch.uint8)],) * 2)
    pixels = torch.zeros(8, 8, 1, dtype=torch.uint8)
    for label in (0, 1):
        image = PlannedImage(SampleSpec(label, 0), stem="a.b")
        write_trajectory(layout, image, way, pixels, "gif")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        f"trajectory-{c}-a.b-000000.{f}" for c in ("cat", "dog") for f in ("gif", "png")
    ]


def test_of_large_images_fewer_steps_are_recorded():
    assert count_frames((1, 32, 32), 16) == 60
    assert count_frames((3, 1024, 1024), 16) == 10


def test_the_last_frame_is_shown_longer():
    frames = [Image.new("L", (64, 64), level) for level in (0, 255)]
    with Image.open(io.BytesIO(encode_animation(frames, "gif"))) as animation:
        durations = []
        for k in range(animation.n_frames):
            animation.seek(k)
            durations.append(animation.info["duration"])
    assert durations[1] > 5 * durations[0]
