"""The label source of file names: the first group of data.label_pattern is the class.

The pattern is searched in the name of each file; if it contains a slash, in the path below the
dataset. It runs in a process of its own, because some patterns take for ever on some names.
"""

import json
import subprocess
import sys
from collections.abc import Sequence

from iddm_cli.data.sources.indexing.labels.labelling import Labelling, LabelScan
from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.errors import DatasetError

SECONDS = 10.0
NAMES_PER_SECOND = 100_000

_SEARCH = """
import json, re, sys
pattern, names = json.load(sys.stdin)
search = re.compile(pattern).search
json.dump([found.group(1) if (found := search(name)) else None for name in names], sys.stdout)
"""


def find_pattern_labels(scan: LabelScan) -> Labelling:
    """Return the labels that the names of the images contain, if a pattern is set.

    Raises:
        DatasetError: The pattern matches no name, or takes too long.
    """
    pattern = scan.options.pattern
    if pattern is None:
        return Labelling()
    names = list(scan.paths) if "/" in pattern else [p.rpartition("/")[2] for p in scan.paths]
    classes = {
        path: to_printable((found or "").strip())
        for path, found in zip(scan.paths, search_all(pattern, names), strict=True)
    }
    matched = sum(map(bool, classes.values()))
    if not matched:
        raise DatasetError(
            f"data.label_pattern {pattern} finds a class in none of the {len(names):,} file names, "
            f"such as {to_printable(names[0])}",
            "Its first group must match the class, as in ([a-z]+)_ for cat_001.png.",
        )
    notes = [f"classes from file names, by {pattern}"]
    if matched < len(names):
        first = next(path for path, label in classes.items() if not label)
        notes[0] += (
            f"; images without a match, left out: {len(names) - matched:,} of {len(names):,}, "
            f"such as {to_printable(first)}"
        )
    return Labelling(classes, notes=notes, origin="data.label_pattern")


def search_all(pattern: str, names: Sequence[str], *, seconds: float = SECONDS) -> list[str | None]:
    """Return the first group of a pattern in each name, or None where it does not match.

    Raises:
        DatasetError: It takes too long.
    """
    limit = seconds + len(names) / NAMES_PER_SECOND
    try:
        answer = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _SEARCH],
            input=json.dumps([pattern, names]),
            capture_output=True,
            text=True,
            timeout=limit,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise DatasetError(
            f"data.label_pattern {pattern} takes more than {limit:.0f} s on the file names",
            "Avoid a repetition inside a repetition, such as (a+)+.",
        ) from None
    found: list[str | None] = json.loads(answer.stdout)
    return found
