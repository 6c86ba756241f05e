from types import SimpleNamespace

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.upscaling.model_upscaler import LoadedUpscaler, check_level
from tests.build.profiles import TINY, tiny_profile

PROFILE = tiny_profile(model={**TINY, "condition": "low_resolution"}, sampling={"batch_size": 64})


@pytest.mark.parametrize(
    ("size", "count"), [((4, 4), 64), ((2, 2), 64), ((8, 8), 16), ((4, 64), 4), ((99, 99), 1)]
)
def test_a_batch_has_as_many_pixels_as_at_the_trained_size(size, count):
    loaded = LoadedUpscaler(SimpleNamespace(), PROFILE, 5, SimpleNamespace(factor=4))
    assert loaded.choose_batch_size(size) == count


def test_a_noise_level_that_was_never_trained_is_refused():
    check_level(0.5, 0.5)
    with pytest.raises(UsageError, match=r"--noise-level 0.6 is higher than the run was trained"):
        check_level(0.6, 0.5)
