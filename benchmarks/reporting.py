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


def read_earlier_rows(options: argparse.Namespace) -> list[dict]:
    """Return the rows that the file of --json holds already, so that a measurement continues."""
    if options.json and options.json.exists():
        rows: list[dict] = json.loads(options.json.read_text())
        return rows
    return []


def has_row(rows: list[dict], wanted: dict) -> bool:
    """Return whether one of the rows has these values."""
    return any(wanted.items() <= row.items() for row in rows)


def save_rows(rows: list[dict], options: argparse.Namespace) -> None:
    """Save the rows, if a file is named for them."""
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def report_rows(rows: list[dict], options: argparse.Namespace, tabulate: Tabulate) -> None:
    """Save the rows, and print their table."""
    save_rows(rows, options)
    print(tabulate(rows))
