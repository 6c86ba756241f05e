"""Tables: write the tables of results in the documentation anew, from the JSON of the benchmarks.

    python benchmarks/tables.py

A table stands between two comments, of which the first has the command that prints it:

    <!-- table: python benchmarks/quality.py progress --table benchmarks/results/FILE.json -->
    <!-- table: end -->
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (*sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md")
BLOCK = re.compile(r"(<!-- table: python (.+?) -->\n).*?(<!-- table: end -->)", re.DOTALL)


def print_table(command: str) -> str:
    """Return what a benchmark prints, called from the root of the repository."""
    words = [sys.executable, *shlex.split(command)]
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def renew_tables(text: str) -> str:
    """Return a page with all its tables printed anew."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{print_table(found[2])}\n\n{found[3]}", text)


def main() -> None:
    """Write all pages anew."""
    for page in PAGES:
        page.write_text(renew_tables(page.read_text()))


if __name__ == "__main__":
    main()
