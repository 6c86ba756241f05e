"""Tables of results in the documentation are those that the benchmarks print from their JSON."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def load_script(name: str, monkeypatch: pytest.MonkeyPatch | None = None) -> ModuleType:
    """Import a benchmark, which imports others of its folder."""
    path = ROOT / "benchmarks" / f"{name}.py"
    if monkeypatch:
        monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables = load_script("tables")

PAGES = [page for page in tables.PAGES if tables.BLOCK.search(page.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_those_of_the_results(page: Path):
    text = page.read_text()
    assert tables.renew_tables(text) == text, "update it with: python benchmarks/tables.py"


def test_every_result_is_shown():
    shown = "".join(page.read_text() for page in tables.PAGES)
    results = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    assert results
    assert [path.name for path in results if path.name not in shown] == []


def test_heads_of_profiles_are_those_of_the_results(monkeypatch):
    profiles = load_script("profiles", monkeypatch)
    rows = json.loads((ROOT / "benchmarks" / "results" / "profiles.json").read_text())
    assert sorted(row["profile"] for row in rows) == profiles.NAMES
    for row in rows:
        text = (ROOT / "configs" / f"{row['profile']}.yaml").read_text()
        assert profiles.write_head(text, row) == text, (
            "update it with: python benchmarks/profiles.py --heads benchmarks/results/profiles.json"
        )
