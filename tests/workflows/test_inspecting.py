"""Inspecting: which arguments are a dataset, and which output folders are inside it."""

from pathlib import Path

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.inspecting import check_image_size, is_inside, split_arguments


@pytest.mark.parametrize(
    ("out", "inside"),
    [
        ("set", True),
        ("set/cat/new/report", True),
        ("link/report", True),
        ("other/../set/x", True),
        ("set-report", False),
        ("report", False),
        (".", False),
    ],
)
def test_every_path_that_leads_into_the_dataset_is_inside(tmp_path, monkeypatch, out, inside):
    (tmp_path / "set" / "cat").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "set" / "cat")
    monkeypatch.chdir(tmp_path)
    assert is_inside(Path(out), "set") is inside
    assert is_inside(Path(out), "demo") is False


def test_a_profile_may_be_given_in_place_of_the_dataset():
    assert (
        split_arguments("mine.yaml", None)
        == split_arguments(None, "mine.yaml")
        == (None, "mine.yaml")
    )
    assert split_arguments("set", "demo") == ("set", "demo")


@pytest.mark.parametrize(("path", "profile"), [(None, None), ("a.yaml", "demo")])
def test_no_dataset_and_two_profiles_are_refused(path, profile):
    with pytest.raises(UsageError):
        split_arguments(path, profile)


@pytest.mark.parametrize("size", [0, [8, 0], 99999])
def test_sizes_that_cannot_be_trained_are_refused(size):
    with pytest.raises(UsageError, match="--image-size"):
        check_image_size("it", size)
