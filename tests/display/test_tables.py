"""Tables: amounts with three digits, and cells that are shown verbatim."""

import io

import pytest
from rich.console import Console

from iddm_cli.display.tables import column_table, format_amount, key_value_table


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1234, "1.23 kB"), (999_600, "1 MB"), (2e15, "2e+03 TB")],
)
def test_amounts_have_three_significant_digits(count, text):
    assert format_amount(count) == text


@pytest.mark.parametrize(
    "table", [key_value_table([("a", "[b]\x1b")]), column_table(("a",), [("[b]\x1b",)])]
)
def test_cells_are_shown_verbatim_and_escaped(table):
    buffer = io.StringIO()
    Console(file=buffer, width=80).print(table)
    assert "[b]\\x1b" in buffer.getvalue()
