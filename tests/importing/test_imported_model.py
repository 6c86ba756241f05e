"""Checks that all readers share: profiles are valid, weights are finite float32 copies."""

import pytest
import torch

from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.importing.imported_model import (
    build_data_section,
    build_profile,
    check_weights,
    to_weights,
)
from iddm_cli.importing.options import ImportOptions


def test_weights_become_float32_copies():
    stored = {"w": torch.ones(2, dtype=torch.float16)}
    weights = to_weights(stored, "file")
    assert weights["w"].dtype == torch.float32
    stored["w"].zero_()
    assert weights["w"].tolist() == [1, 1]
    with pytest.raises(CheckpointError, match="file: w holds numbers that are not finite"):
        to_weights({"w": torch.tensor([torch.nan])}, "file")


def test_any_float_type_is_a_weight_and_an_integer_is_not():
    expected = {"w": ([2], "float32")}
    check_weights(expected, {"w": ([2], "bfloat16")}, "file")
    with pytest.raises(CheckpointError, match="w is int64"):
        check_weights(expected, {"w": ([2], "int64")}, "file")


def test_an_invalid_size_is_the_users_mistake_only_if_the_user_gave_it():
    tables = {"data": build_data_section(7, 3, classes=0)}
    with pytest.raises(CheckpointError, match="it cannot be imported"):
        build_profile(tables, ImportOptions())
    with pytest.raises(UsageError, match="--image-size"):
        build_profile(tables, ImportOptions(image_size=7))
