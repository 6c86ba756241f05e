"""Generating through the command: which pictures, where, and always the same ones."""

import json

import numpy as np
import pytest
from PIL import Image

DEMO = ("crazing", "inclusion", "patches", "pitted-surface", "rolled-in-scale", "scratches")


def pixels(folder) -> dict[str, np.ndarray]:
    """Return the pictures of a gallery by name."""
    return {
        path.relative_to(folder).as_posix(): np.asarray(Image.open(path)).astype(int)
        for path in sorted(folder.glob("*/*.*"))
    }


@pytest.fixture
def draw(trained, shell):
    def generate(out: str, *words: str):
        runs = ("--runs-dir", trained.folder / "runs")
        shell.iddm("generate", "first", *runs, "--out", out, *words)
        return pixels(shell.folder / out)

    return generate


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_picture_does_not_depend_on_its_neighbours(draw, sampler):
    some = ("--sampler", sampler, "--steps", "10", "--precision", "fp32")
    alone = draw("a", "--batch-size", "1", "--count", "4", "--class", "2", *some)
    among = draw("b", "--batch-size", "8", "--count", "16", "--class", "all", *some)
    assert len(alone) == 4
    assert len(among) == 16 * len(DEMO)
    assert max(np.abs(alone[name] - among[name]).max() for name in alone) <= 1


def test_in_bf16_a_picture_has_the_same_bits_alone_and_in_a_batch(draw, shell):
    some = ("--precision", "bf16", "--guidance-interval", "0.2:0.8", "--steps", "5",
            "--sampler", "unipc", "--order", "3", "--time-grid", "linspace")  # fmt: skip
    alone = draw("a", "--batch-size", "1", "--count", "2", "--class", "2", *some)
    among = draw("b", "--count", "3", "--class", "1", "--class", "2", *some)
    assert all((alone[name] == among[name]).all() for name in alone)
    manifest = json.loads((shell.folder / "a" / "manifest.json").read_text())
    assert (manifest["precision"], manifest["guidance_interval"]) == ("bf16", [0.2, 0.8])
    assert (manifest["steps"], manifest["order"], manifest["time_grid"]) == (5, 3, "linspace")
    with Image.open(shell.folder / "a" / manifest["images"][0]) as image:
        assert (image.text["iddm:order"], image.text["iddm:time_grid"]) == ("3", "linspace")
        assert image.text["iddm:precision"] == "bf16"
        assert image.text["iddm:guidance_interval"] == "0.2:0.8"


def test_the_seed_decides(draw):
    some = ("--class", "0", "--count", "2")
    first, again, other = draw("a", *some), draw("b", *some), draw("c", *some, "--seed", "1")
    assert all((first[name] == again[name]).all() for name in first)
    assert all((first[name] != other[name]).any() for name in first)


def test_classes_go_by_name_and_by_index(draw):
    named = draw("a", "--class", "scratches", "--class", "patches", "--count", "1")
    numbered = draw("b", "--class", "5", "--class", "2", "--count", "1")
    assert set(named) == {"scratches/scratches-000000.png", "patches/patches-000000.png"}
    assert all((named[name] == numbered[name]).all() for name in named)


def test_a_picture_and_the_manifest_say_how_it_was_made(draw, shell):
    draw(
        "a", "--class", "3", "--sampler", "ddim", "--steps", "7", "--guidance", "2", "--count", "2"
    )
    with Image.open(shell.folder / "a/pitted-surface/pitted-surface-000001.png") as image:
        notes = image.text
    assert notes["iddm:run"] == "first"
    assert notes["iddm:step"] == "10"
    assert notes["iddm:class"] == "pitted-surface"
    assert notes["iddm:index"] == "1"
    assert (notes["iddm:sampler"], notes["iddm:steps"], notes["iddm:guidance"]) == (
        "ddim",
        "7",
        "2.0",
    )
    manifest = json.loads((shell.folder / "a" / "manifest.json").read_text())
    assert manifest["images"] == [f"pitted-surface/pitted-surface-00000{i}.png" for i in (0, 1)]
    assert (shell.folder / "a" / "grid.png").is_file()


def test_formats_grid_and_json(draw, shell, trained):
    assert all(name.endswith(".webp") for name in draw("a", "--count", "1", "--format", "webp"))
    draw("b", "--count", "1", "--no-grid")
    assert not (shell.folder / "b" / "grid.png").exists()
    runs = ("--runs-dir", trained.folder / "runs")
    answer = shell.iddm("generate", *runs, "--out", "c", "--count", "1", "--json").json()
    assert len(answer["images"]) == len(DEMO)
    assert answer["grid"] == "c/grid.png"


def test_the_grid_shows_many_of_one_class_and_a_row_of_each_of_many(draw, shell):
    def cells(folder: str) -> tuple[int, int]:
        with Image.open(shell.folder / folder / "grid.png") as grid:
            return grid.width // 68, grid.height // 68

    draw("one", "--class", "0", "--count", "25")
    draw("all", "--count", "2")
    assert cells("one")[1] == 3, "ten, ten and five"
    assert cells("all")[1] == len(DEMO)


def test_raw_weights_and_earlier_checkpoints_can_be_asked_for(draw):
    some = ("--class", "0", "--count", "1")
    last, raw = draw("a", *some), draw("b", *some, "--weights", "raw")
    earlier = draw("c", *some, "--checkpoint", "5")
    name = "crazing/crazing-000000.png"
    assert (last[name] != raw[name]).any()
    assert (last[name] != earlier[name]).any()


def test_an_earlier_checkpoint_guides(draw, shell, trained):
    some = ("--class", "0", "--count", "1", "--guidance", "3", "--steps", "3")
    more = ("--guidance-rescale", "0.7", "--threshold", "0.99")
    name = "crazing/crazing-000000.png"
    usual, guided = draw("a", *some), draw("b", *some, *more, "--guide-with", "@5")
    assert (usual[name] != guided[name]).any()
    wanted = {"guide_with": "first@5", "guidance_rescale": 0.7, "threshold": 0.99}
    manifests = [json.loads((shell.folder / f / "manifest.json").read_text()) for f in "ab"]
    assert [{k: m[k] for k in wanted if k in m} for m in manifests] == [{}, wanted]
    with Image.open(shell.folder / "b" / name) as image:
        assert {key: image.text[f"iddm:{key}"] for key in wanted} == {
            key: str(value) for key, value in wanted.items()
        }
    runs = ("--runs-dir", trained.folder / "runs")
    answer = shell.iddm("generate", "first", *runs, "--guide-with", "@7", expect=4)
    assert "--guide-with @7: no checkpoint of step 7" in answer.err
    assert "Available steps: 5, 10" in answer.err


def test_each_class_has_its_own_noise_unless_asked_otherwise(draw, shell):
    """With guidance 0 the class is ignored, so that only the noise can differ."""
    some = ("--count", "1", "--guidance", "0", "--precision", "fp32", "--steps", "2")
    own, same = draw("own", *some), draw("same", *some, "--same-noise")
    first = own["crazing/crazing-000000.png"]
    assert all(np.abs(first - other).max() <= 1 for other in same.values())
    others = [image for name, image in own.items() if not name.startswith("crazing")]
    assert all(np.abs(first - other).max() > 1 for other in others)
    manifests = [
        json.loads((shell.folder / d / "manifest.json").read_text()) for d in ("own", "same")
    ]
    assert [manifest.get("noise") for manifest in manifests] == ["own", None]
    with Image.open(shell.folder / "own" / manifests[0]["images"][3]) as image:
        assert image.text["iddm:noise"] == "own"


def test_an_index_gives_the_image_of_the_whole_run(draw, shell):
    some = ("--class", "2", "--class", "4", "--precision", "bf16", "--steps", "2")
    whole = draw("a", *some, "--count", "4")
    liked = draw("b", *some, "--index", "3,1")
    assert list(liked) == [name for name in whole if name[-5] in "13"]
    files = [(shell.folder / "a" / name, shell.folder / "b" / name) for name in liked]
    assert all(one.read_bytes() == other.read_bytes() for one, other in files)


def test_variations_of_a_folder_and_strengths_zero_and_one(draw, shell):
    some = ("--precision", "fp32", "--steps", "4")
    first = draw("in", "--count", "1", "--class", "2", "--class", "4", *some)
    found = draw("v", "--from", "in", "--count", "2", "--trajectory", "gif", *some)
    assert list(found) == [
        "patches/patches-000000-000000.png", "patches/patches-000000-000001.png",
        "rolled-in-scale/rolled-in-scale-000000-000000.png",
        "rolled-in-scale/rolled-in-scale-000000-000001.png",
    ]  # fmt: skip
    manifest = json.loads((shell.folder / "v" / "manifest.json").read_text())
    assert (manifest["strength"], manifest["from"][3]) == (
        0.5,
        "rolled-in-scale/rolled-in-scale-000000.png",
    )
    assert len(manifest["trajectories"]) == 8
    assert all((shell.folder / "v" / name).is_file() for name in manifest["trajectories"])
    with Image.open(shell.folder / "v" / manifest["images"][0]) as image:
        assert (image.text["iddm:from"], image.text["iddm:strength"]) == (
            "patches/patches-000000.png",
            "0.5",
        )
    same = draw("s", "--from", "in", "--strength", "0", "--count", "1", *some)
    assert all((a == b).all() for a, b in zip(same.values(), first.values(), strict=True))
    one = ("--from", "in/patches/patches-000000.png", "--class", "4", "--count", "1")
    ignored = draw("i", *one, "--strength", "1", *some)
    expected = first["rolled-in-scale/rolled-in-scale-000000.png"]
    (actual,) = ignored.values()
    assert np.abs(actual - expected).max() <= 1
    again = draw("w", "--from", "in", "--count", "2", *some)
    files = [(shell.folder / d / name).read_bytes() for d in ("v", "w") for name in again]
    assert files[:4] == files[4:], "the same command gives the same bytes"


def test_inpainting_keeps_every_black_pixel_of_the_mask(draw, shell):
    some = ("--class", "1", "--count", "1", "--steps", "3")
    (known,) = draw("in", *some).values()
    mask = np.zeros(known.shape, np.uint8)
    mask[8:20, 8:20] = 255
    Image.fromarray(mask).save(shell.folder / "mask.png")
    start = ("--from", "in/inclusion", "--mask", "mask.png")
    (found,) = draw("out", *start, *some, "--seed", "5", "--sampler", "ddpm").values()
    assert (found == known)[mask == 0].all()
    assert (found != known)[mask > 0].any()


def test_a_path_begins_and_ends_at_two_images_and_another_size_is_computed(draw, shell):
    some = ("--class", "1", "--precision", "bf16", "--steps", "2", "--sampler", "ddpm")
    ends = draw("ends", *some, "--index", "3,5")
    path = list(draw("path", *some, "--interpolate", "3:5:3").values())
    assert len(path) == 3
    assert all((a == b).all() for a, b in zip(path[::2], ends.values(), strict=True))
    assert (path[1] != path[0]).any()
    (large,) = draw("large", *some, "--count", "1", "--size", "32x48").values()
    assert large.shape[:2] == (32, 48)
    manifest = json.loads((shell.folder / "large" / "manifest.json").read_text())
    assert manifest["size"] == "32x48"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--class", "scratch"), 2, "Did you mean scratches?"),
        (("--class", "6"), 2, "no such class"),
        (("--checkpoint", "7"), 4, "Available steps: 5, 10."),
        (("--sampler", "dimm"), 2, "ddim"),
        (("--steps", "1001"), 2, "timesteps"),
        (("--index", "3-"), 2, "Write 7, or 7,12"),
        (("--index", "3", "--count", "2"), 2, "cannot be combined"),
        (("--mask", "m.png"), 2, "--mask needs --from"),
        (("--from", "none.png"), 2, "there is no such file or folder"),
        (("--interpolate", "1:2"), 2, "7:12:9"),
        (("--size", "33"), 2, "divisible by"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_wish_that_cannot_be_met_is_one_clear_error(shell, trained, words, code, said):
    runs = ("--runs-dir", trained.folder / "runs")
    answer = shell.iddm("generate", *runs, *words, "--out", "new", expect=code)
    assert answer.err.startswith("error: ")
    assert said in answer.err
    assert not (shell.folder / "new").exists()


def test_pictures_are_never_written_over_unasked(draw, shell, trained):
    draw("a", "--class", "0", "--count", "1")
    runs = ("--runs-dir", trained.folder / "runs")
    answer = shell.iddm("generate", *runs, "--out", "a", "--seed", "1", expect=2)
    assert "seed 0, not 1" in answer.err
    (shell.folder / "other").mkdir()
    (shell.folder / "other" / "letter.txt").touch()
    answer = shell.iddm("generate", *runs, "--out", "other", expect=2)
    assert "not empty" in answer.err
    shell.iddm("generate", *runs, "--out", "a", "--count", "1", "--overwrite")


def test_shares_and_what_was_cut_off_make_the_files_of_one_process(draw, shell, trained):
    some = ("--class", "0", "--class", "3", "--count", "5", "--batch-size", "4", "--steps", "2")
    draw("one", *some)
    draw("parts", *some, "--shard", "1/2")
    answer = shell.iddm("generate", "--check", "--out", "parts", "--json", expect=1)
    assert len(json.loads(answer.out)["missing"]) == 6
    assert not (shell.folder / "parts" / "grid.png").exists()
    draw("parts", *some, "--shard", "0/2")
    cut, damaged = sorted((shell.folder / "parts").glob("*/*.png"))[3:5]
    cut.unlink()
    damaged.write_bytes(damaged.read_bytes()[:60])
    cut.with_name(f".partial-4194304-{cut.name}").touch()  # as a killed process leaves it
    draw("parts", *some, "--device", "cpu", "--devices", "2")
    files = sorted(path for path in (shell.folder / "one").rglob("*") if path.is_file())
    assert len(files) == 12
    for path in files:
        other = shell.folder / "parts" / path.relative_to(shell.folder / "one")
        assert other.read_bytes() == path.read_bytes(), path.name
    assert list((shell.folder / "parts").rglob(".partial-*")) == []
    shell.iddm("generate", "--check", "--out", "parts")
    for words, said in (((), "--out"), (("--out", "none"), "has no manifest.json")):
        assert said in shell.iddm("generate", "--check", *words, expect=2).err
