"""Writing: a profile survives saving, and schema and reference cover every setting."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from iddm_cli.profiles.loading import load_profile
from iddm_cli.profiles.profile import Profile, get_section_classes, list_keys
from iddm_cli.profiles.settings import OptimizerName
from iddm_cli.profiles.writing import build_profile_schema, dump_profile, render_reference


def test_every_setting_has_a_sentence():
    for section in Profile.model_fields:
        for settings in get_section_classes(section).values():
            for name, field in settings.model_fields.items():
                assert field.description, f"{section}.{name}"
                assert field.description.rstrip().endswith("."), f"{section}.{name}"


def test_the_reference_covers_every_setting():
    reference = render_reference()
    assert all(f"| `{key}` |" in reference for key in list_keys())


@given(
    path=st.text(min_size=1, max_size=30),
    lr=st.floats(1e-12, 1e3),
    size=st.integers(1, 64).map(lambda n: 4 * n),
    optimizer=st.sampled_from(get_args(OptimizerName)),
)
def test_a_saved_profile_loads_as_an_equal_one(tmp_path_factory, path, lr, size, optimizer):
    profile = Profile.model_validate(
        {
            "data": {"path": path, "image_size": [size, 32]},
            "training": {"lr": lr, "optimizer": optimizer, "steps": 9, "epochs": None},
        }
    )
    file = tmp_path_factory.mktemp("saved") / "profile.yaml"
    file.write_text(dump_profile(profile), encoding="utf-8")
    assert load_profile(str(file), []) == profile


def test_the_schema_describes_every_setting():
    schema = build_profile_schema()
    described = schema["$defs"]["TrainingSettings"]["properties"]["lr"]
    assert described["exclusiveMinimum"] == 0
    assert described["description"]
