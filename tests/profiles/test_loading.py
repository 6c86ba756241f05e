"""Loading: profiles are found by name or path, and validated as a whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from iddm_cli.errors import ProfileError
from iddm_cli.profiles.loading import (
    VALUES_BEFORE,
    find_profile,
    list_profiles,
    load_profile,
    resolve_trained_profile,
)
from iddm_cli.profiles.overrides import Override
from iddm_cli.profiles.profile import Profile, list_keys
from iddm_cli.profiles.writing import save_profile

SHIPPED = sorted(path.stem for path in (Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_loads_has_a_purpose_and_survives_saving(name, tmp_path):
    loaded = load_profile(name, [])
    save_profile(loaded, tmp_path / "saved.yaml")
    assert load_profile(str(tmp_path / "saved.yaml"), []) == loaded
    purpose = next(entry.purpose for entry in list_profiles() if entry.name == name)
    assert len(purpose) > 20


def test_an_empty_profile_is_all_defaults(load):
    assert load("") == load("training:\n") == Profile()


def test_a_file_that_is_not_text_is_refused_with_its_line(load):
    Path("mine.yaml").write_bytes(b"# a\ndata:\n  path: M\xfcller\n")
    with pytest.raises(ProfileError, match="line 3: not UTF-8"):
        load_profile("mine.yaml", [])


def test_an_unreadable_user_profile_hides_no_other(tmp_path, monkeypatch):
    home = tmp_path / "iddm" / "profiles"
    (home / "folder.yaml").mkdir(parents=True)
    (home / "gone.yaml").symlink_to(tmp_path / "nowhere")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert [entry.name for entry in list_profiles()] == SHIPPED
    assert load_profile("demo", []).data.path == "demo"


def test_a_name_too_long_for_a_file_is_not_found():
    with pytest.raises(ProfileError, match="no profile"):
        find_profile("x" * 5000)


def test_steps_and_epochs_replace_each_other(load):
    def length(text, *sets):
        training = load(text, *sets).training
        return training.steps, training.epochs

    assert length("") == (None, 300)
    assert length("training:\n  steps: 7\n") == (7, None)
    assert length("training:\n  epochs: 7\n") == (None, 7)
    assert length("training:\n  steps: 7\n", "training.epochs=5") == (None, 5)
    assert length("training:\n  epochs: 7\n", "training.steps=5") == (5, None)


def test_a_profile_is_searched_here_then_in_the_user_folder_then_among_the_shipped(
    tmp_path, monkeypatch
):
    home, here = tmp_path / "home", tmp_path / "here"
    (home / "iddm" / "profiles").mkdir(parents=True)
    here.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.chdir(here)
    shipped = find_profile("demo")
    assert find_profile("demo.yaml") == shipped
    own = home / "iddm" / "profiles" / "demo.yaml"
    own.write_text("# mine\n")
    assert find_profile("demo") == find_profile("demo.yaml") == own
    assert next(entry for entry in list_profiles() if entry.name == "demo").origin == "user"
    Path("demo.yaml").write_text("")
    assert find_profile("demo.yaml") == Path("demo.yaml")


def test_an_unknown_profile_is_refused_with_the_known_names():
    with pytest.raises(ProfileError) as refused:
        find_profile("cifar")
    assert "Did you mean cifar10?" in refused.value.hint
    assert all(name in refused.value.hint for name in SHIPPED)


def test_the_profile_of_a_trained_model_needs_its_channels():
    demo = load_profile("demo", [])
    resolved = resolve_trained_profile(Path("profile.yaml"), demo)
    assert resolved.data.shape == (1, 32, 32)
    with pytest.raises(ProfileError, match=r"profile\.yaml: data\.channels is auto") as refused:
        resolve_trained_profile(Path("profile.yaml"), load_profile("cifar10", []))
    assert "data.channels" in refused.value.hint


def test_profiles_load_without_torch():
    code = (
        "import sys; from iddm_cli.profiles.loading import load_profile; load_profile('demo', [])"
    )
    words = [sys.executable, "-c", f"{code}; print('torch' in sys.modules)"]
    asked = subprocess.run(words, capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "False"


def test_a_run_of_an_older_version_keeps_the_values_of_that_version(tmp_path):
    """It lacks the settings that came later, and trained as if they had these values."""
    older = tmp_path / "run" / "profile.yaml"
    older.parent.mkdir()
    older.write_text("data:\n  path: demo\n")
    default = Profile().data.held_out
    assert default > 0
    assert load_profile(str(older), []).data.held_out == default, "it is a user's profile"
    (older.parent / "run.json").write_text("{}")
    assert load_profile(str(older), []).data.held_out == 0
    older.write_text("training:\n  epochs: 3\n")
    assert load_profile(str(older), []).data.held_out == 0
    given = [Override("data.held_out", 0.2, "--set")]
    assert load_profile(str(older), given).data.held_out == 0.2
    save_profile(Profile(), older)
    assert load_profile(str(older), []) == Profile(), "a run of this version has the setting"


def test_every_value_of_an_older_version_is_one_of_a_setting():
    for key, value in VALUES_BEFORE.items():
        assert key in list_keys()
        section, _, name = key.partition(".")
        Profile.model_validate({section: {name: value}})
