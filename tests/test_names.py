"""Names in settings and tables of what they stand for agree."""

import inspect
from typing import get_args

import pytest

from iddm_cli.diffusion.denoiser import PREDICTIONS
from iddm_cli.diffusion.samplers import SAMPLERS
from iddm_cli.diffusion.schedules import SCHEDULES
from iddm_cli.engine.device import DTYPES
from iddm_cli.engine.optimizers import LR_SCHEDULES, OPTIMIZERS
from iddm_cli.networks import NETWORKS
from iddm_cli.networks.blocks import ACTIVATIONS
from iddm_cli.profiles import settings


@pytest.mark.parametrize(
    ("names", "table"),
    [
        (settings.NetworkName, NETWORKS),
        (settings.NetworkName, settings.NETWORK_SETTINGS),
        (settings.ActivationName, ACTIVATIONS),
        (settings.ScheduleName, SCHEDULES),
        (settings.PredictionName, PREDICTIONS),
        (settings.SamplerName, SAMPLERS),
        (settings.OptimizerName, OPTIMIZERS),
        (settings.LrScheduleName, LR_SCHEDULES),
        (settings.PrecisionName, ["auto", *DTYPES]),
    ],
)
def test_every_name_stands_for_something(names, table):
    assert sorted(get_args(names)) == sorted(table)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_takes_its_settings_and_nothing_else(name):
    taken = set(inspect.signature(NETWORKS[name]).parameters) - {"channels", "num_classes"}
    assert taken == set(settings.NETWORK_SETTINGS[name])
