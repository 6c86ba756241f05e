"""Settings: the allowed names are those of the tables they stand for."""

from typing import get_args

import pytest

from iddm_cli.engine.device import DTYPES
from iddm_cli.engine.optimization.learning_rate import LR_SCHEDULES
from iddm_cli.engine.optimization.optimizers import OPTIMIZERS
from iddm_cli.networks.blocks import ACTIVATIONS
from iddm_cli.profiles import settings
from iddm_cli.profiles.model_settings import ActivationName


@pytest.mark.parametrize(
    ("names", "table"),
    [
        (ActivationName, ACTIVATIONS),
        (settings.OptimizerName, OPTIMIZERS),
        (settings.LrScheduleName, LR_SCHEDULES),
        (settings.PrecisionName, ["auto", *DTYPES]),
    ],
)
def test_every_name_is_a_row_of_its_table(names, table):
    assert sorted(get_args(names)) == sorted(table)
