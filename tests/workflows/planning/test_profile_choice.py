"""The choice of a profile: one table of rules, over what a few images show."""

from dataclasses import replace

import pytest
from PIL import Image

from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.profiles.loading import list_profiles, load_profile
from iddm_cli.profiles.overrides import Override
from iddm_cli.workflows.planning.profile_choice import (
    PROFILE_RULES,
    DatasetFacts,
    _find_wanted,
    choose_profile,
    find_rule,
)

NAMES = {rule.profile for rule in PROFILE_RULES}
PHOTOS = DatasetFacts(images=5000, height=300, width=400, channels=3, classes=0, device="cuda")
SMALL = replace(PHOTOS, height=32, width=32, classes=10)


@pytest.mark.parametrize(
    ("facts", "profile"),
    [
        (PHOTOS, "landscape"),
        (replace(PHOTOS, device="mps"), "landscape"),
        (replace(PHOTOS, device="cpu"), "neu-det"),
        (replace(PHOTOS, images=500), "small-set"),
        (replace(PHOTOS, images=501), "landscape"),
        (replace(PHOTOS, images=50, device="cpu"), "small-set"),
        (replace(PHOTOS, images=49, device="cpu"), "neu-det"),
        (replace(PHOTOS, wanted=96), "neu-det-200"),
        (replace(PHOTOS, wanted=128, device="cpu"), "neu-det"),
        (replace(PHOTOS, wanted=128), "neu-det-200"),
        (replace(PHOTOS, wanted=95), "landscape"),
        (replace(PHOTOS, images=60, wanted=128), "small-set"),
        (replace(SMALL, images=100), "small-set"),
        (replace(SMALL, images=99), "cifar10"),  # of 10 classes: too few to hold any out
        (replace(PHOTOS, classes=2), "neu-det"),
        (replace(PHOTOS, height=400), "neu-det"),
        (replace(PHOTOS, channels=1), "neu-det"),
        (replace(PHOTOS, height=95, width=95), "neu-det"),
        (replace(PHOTOS, height=48, width=47), "cifar10"),
        (SMALL, "cifar10"),
        (replace(SMALL, channels=1), "fashion-mnist"),
        (replace(SMALL, device="cpu"), "fashion-mnist"),
        (replace(PHOTOS, height=47, device="cpu"), "fashion-mnist"),
    ],
    ids=str,
)
def test_the_first_rule_that_suits_decides(facts, profile):
    assert find_rule(facts, NAMES).profile == profile


def test_every_rule_names_a_profile_or_one_that_is_left_out():
    shipped = {entry.name for entry in list_profiles()}
    assert shipped | {"small-set"} >= NAMES
    assert find_rule(replace(PHOTOS, images=60), NAMES - {"small-set"}).profile == "landscape"
    for name in NAMES & shipped:
        assert load_profile(name, []).data.path != "demo", "a profile of images that users bring"


def test_what_a_few_images_show_is_said_in_one_line(tmp_path, monkeypatch, capsys):
    for number in range(5):
        (tmp_path / "set").mkdir(exist_ok=True)
        Image.new("RGB", (40, 20 + number), (number, number, number)).save(
            tmp_path / "set" / f"{number}.png"
        )
    given = [
        Override("data.path", str(tmp_path / "set"), "--data"),
        Override("runtime.device", "cpu", "--device"),
        Override("data.image_size", 66, "--image-size"),  # of no matter here
        Override("training.lr", "fast", "--set"),  # reported by whoever loads the profile
    ]
    assert choose_profile(given) == "fashion-mnist"
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "profile fashion-mnist, chosen for 5 images of 22 x 40, grey, on a CPU: its network trains "
        "on a CPU within minutes, at 32 x 32; --profile NAME selects another one"
    )
    Image.new("RGB", (40, 20), (200, 0, 0)).save(tmp_path / "set" / "red.png")
    choose_profile(given)
    assert "6 images of 21 x 40, in colour" in capsys.readouterr().err
    for size, side in ((128, 128), ([64, 256], 256), ("x", 0)):
        assert _find_wanted([*given, Override("data.image_size", size, "--image-size")]) == side
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    choose_profile(given)
    assert capsys.readouterr().err == "", "only the main process speaks"


def test_without_a_dataset_it_is_the_demo_and_nothing_is_said(capsys):
    demo = Override("data.path", "demo", "--data")
    assert choose_profile([]) == choose_profile([demo]) == "demo"
    assert capsys.readouterr().err == ""


def test_what_cannot_be_read_is_reported_as_ever(tmp_path, capsys):
    missing = Override("data.path", str(tmp_path / "missing"), "--data")
    with pytest.raises(DatasetError, match="no folder, archive or built-in dataset"):
        choose_profile([missing])
    wrong = Override("data.path", 3, "--set data.path=3")
    with pytest.raises(UsageError, match=r"data\.path"):
        choose_profile([wrong])
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    broken = [Override("data.path", str(tmp_path), "--data"), Override("runtime.device", "cpu", "")]
    assert choose_profile(broken), "the dataset itself is refused when it is packed"
    assert capsys.readouterr().err == ""
