"""Options of `iddm generate` that contradict each other."""

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.generating.generate_options import GenerateOptions


def test_indices_replace_a_number_of_images():
    GenerateOptions(index="7").check()
    GenerateOptions(count=3).check()
    with pytest.raises(UsageError, match="--index and --count contradict each other") as caught:
        GenerateOptions(index="7", count=3).check()
    assert caught.value.hint == "Leave out --count."
