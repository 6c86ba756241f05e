"""The plan of a generation: its images, and what the grid and the manifest say of it."""

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.progress import no_progress
from iddm_cli.errors import UsageError
from iddm_cli.value_range import EIGHT_BIT
from iddm_cli.workflows.generating.generate_options import DEFAULT_COUNT, GenerateOptions
from iddm_cli.workflows.generating.generation_plan import has_own_noise, plan_generation
from tests.build.profiles import tiny_profile


class Model:
    classes = ("cat", "dog")
    values = EIGHT_BIT


class Plain:
    classes = ()
    values = EIGHT_BIT


def plan(model=Model, **options):
    profile = tiny_profile(data={"channels": 3, "image_size": [8, 8], "workers": 1})
    return plan_generation(GenerateOptions(**options), model, profile, no_progress)


def test_classes_have_their_own_noise_unless_asked_otherwise():
    assert has_own_noise(GenerateOptions(), Model)
    assert not has_own_noise(GenerateOptions(same_noise=True), Model)
    assert not has_own_noise(GenerateOptions(), Plain), "both rules are the same there"


def test_indices_or_a_number_of_images_of_each_class():
    assert len(plan().images) == 2 * DEFAULT_COUNT
    chosen = plan(index="7,3", classes=("dog",))
    assert [image.spec.index for image in chosen.images] == [3, 7]
    assert chosen.facts == {"count": 2, "indices": [3, 7]}
    assert chosen.labels == [1]


def test_a_short_path_is_one_row_of_the_grid():
    assert plan(interpolate="0:1:15").columns == 15
    assert plan(interpolate="0:1:21").columns == 10


def test_variations_and_their_masks(tmp_path):
    for name, level in (("cat/a", 10), ("dog/b", 200)):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (level,) * 3).save(tmp_path / "in" / f"{name}.png")
    mask = np.zeros((8, 8), np.uint8)
    mask[0] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    found = plan(source=tmp_path / "in", mask=tmp_path / "mask.png", count=2)
    assert found.facts == {
        "count": 2,
        "from": ["cat/a.png", "cat/a.png", "dog/b.png", "dog/b.png"],
        "mask": ["mask.png"] * 4,
    }
    assert found.images[3].notes == {"from": "dog/b.png", "mask": "mask.png"}
    assert (found.known.strength, found.labels) == (1.0, [0, 1])
    image, kept = found.first_cells(1)
    assert image.getpixel((0, 0)) == (200, 200, 200)
    assert [kept.getpixel((0, y))[0] for y in (0, 1)] == [128, 200]
    with pytest.raises(UsageError, match="--index needs a single image"):
        plan(source=tmp_path / "in", index="3")
    one = plan(source=tmp_path / "in" / "dog" / "b.png", index="3", classes=("dog",))
    assert [image.spec.index for image in one.images] == [3]
    assert one.known.strength == 0.5
    assert len(one.first_cells(0)) == 1
