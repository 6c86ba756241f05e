"""Results of a benchmark: its rows as JSON, and its table from them."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

Tabulate = Callable[[list[dict]], str]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the file of the rows, and for the table of earlier ones."""
    parser.add_argument("--json", type=Path, help="file for the rows")
    parser.add_argument("--table", type=Path, help="print the table of these rows instead")


def print_earlier_table(options: argparse.Namespace, tabulate: Tabulate) -> bool:
    """Print the table of earlier rows if that is asked for; return whether it was."""
    if options.table is None:
        return False
    print(tabulate(json.loads(options.table.read_text())))
    return True


def report_rows(rows: list[dict], options: argparse.Namespace, tabulate: Tabulate) -> None:
    """Save the rows, and print their table."""
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(tabulate(rows))
