"""Upscaled images keep the folders and names of what they were made from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from iddm_cli.engine.sampling.small_image import SmallImage
from iddm_cli.errors import UsageError
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.value_range import EIGHT_BIT
from iddm_cli.workflows.upscaling.upscaled_files import (
    describe_folder,
    describe_inputs,
    name_files,
    write_upscaled,
)

METADATA = SamplingMetadata(
    run="first", step=5, weights="average", seed=3, sampler="ddim", steps=4, time_grid="trailing",
    order=None, eta=0.0, guidance=1.0, guidance_interval=[0.0, 1.0], precision="fp32",
    noise_level=0.1,
)  # fmt: skip
IMAGE = SmallImage("cat/tom.jpg", 1, 77, torch.zeros(1, 2, 2, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        (["cat/a.jpg", "dog/a.png"], ["cat/a.png", "dog/a.png"]),
        (["a.b.tif"], ["a.b.png"]),
        (["a.jpg", "a.png"], ["a.jpg.png", "a.png.png"]),
        (["a?.png"], ["a_.png"]),
    ],
    ids=str,
)
def test_names_and_folders_stay(names, paths):
    assert name_files(names, "png") == paths


def test_images_of_one_name_from_two_folders_are_refused():
    with pytest.raises(UsageError, match=r"several images would be written to a.png.png"):
        name_files(["a.png", "a.png"], "png")


def test_other_images_or_classes_are_other_inputs():
    known = describe_inputs([IMAGE])
    assert (
        describe_inputs([replace(IMAGE, planes=IMAGE.planes + 1)]) == known
    )  # noise stands for it
    for change in ({"name": "b.png"}, {"label": 0}, {"noise": 78}):
        assert describe_inputs([replace(IMAGE, **change)]) != known


def test_the_manifest_and_the_file_say_how_an_image_was_made(tmp_path):
    manifest = describe_folder(METADATA, [IMAGE], ["cat/tom.png"], EIGHT_BIT)
    assert (manifest["images"], manifest["from"]) == (["cat/tom.png"], ["cat/tom.jpg"])
    assert manifest["noise_level"] == 0.1
    pixels = torch.arange(16, dtype=torch.uint8).view(4, 4, 1)
    path = tmp_path / "cat" / "tom.png"
    write_upscaled(path, pixels, IMAGE, METADATA, ("ant", "cat"), EIGHT_BIT)
    with Image.open(path) as image:
        assert (np.asarray(image) == pixels[..., 0].numpy()).all()
        assert image.text["iddm:from"] == "cat/tom.jpg"
        assert (image.text["iddm:class"], image.text["iddm:index"]) == ("cat", "77")
