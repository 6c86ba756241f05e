"""Tables of results in the documentation are those that the benchmarks print from their JSON."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
assert SPEC and SPEC.loader
tables = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tables)

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
