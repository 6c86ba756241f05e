from types import SimpleNamespace

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.upscaling.upscaling_models import check_upscales
from tests.build.profiles import TINY, tiny_profile

MODEL = SimpleNamespace(reference="first")


def make_profile(condition: str):
    return tiny_profile(model={**TINY, "condition": condition})


@pytest.mark.parametrize(
    ("condition", "wanted", "said"),
    [
        ("low_resolution", False, "first upscales images, and generates none by itself"),
        ("none", True, "first generates images, and upscales none"),
    ],
)
def test_a_model_of_the_other_kind_is_refused(condition, wanted, said):
    profile = make_profile(condition)
    with pytest.raises(UsageError, match=said):
        check_upscales(MODEL, profile, wanted=wanted)
    check_upscales(MODEL, profile, wanted=not wanted)
    check_upscales(MODEL, profile, wanted=None)
