"""The settings that benchmarks change are settings of the profiles that they train."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from iddm_cli.profiles.loading import load_profile
from iddm_cli.profiles.overrides import parse_override

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TABLES = [
    ("few_images", "SMALL", "small-set"),
    ("few_images", "BALANCES", "demo"),
    ("few_images", "ADDED", "demo"),
    ("defects", "ARMS", "neu-det"),
]


@pytest.fixture
def load_script(monkeypatch):
    """Import a benchmark as its folder's scripts do, and forget it afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in {path.stem for path in BENCHMARKS.glob("*.py")} - before:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("script", "table", "profile"), TABLES, ids=str)
def test_every_row_has_settings_of_its_profile(
    load_script: Callable[[str], object], script: str, table: str, profile: str
):
    rows = getattr(load_script(script), table)
    for name, settings in rows.items():
        begun_from = ("transfer.source=run",) if "from the run" in name else ()
        overrides = [parse_override(text) for text in (*begun_from, *settings)]
        assert load_profile(profile, overrides), name


def test_every_recipe_has_settings_of_its_profile(load_script: Callable[[str], object]):
    recipes = load_script("recipes")
    for name in recipes.RECIPES:
        overrides = [parse_override(text) for text in recipes.collect_settings(name)]
        assert load_profile("fashion-mnist", overrides), name


def test_every_network_is_one(load_script: Callable[[str], object], tmp_path: Path):
    shapes = load_script("shapes")
    for name in shapes.SHAPES:
        assert load_profile(str(shapes.write_profile(name, tmp_path)), []), name
