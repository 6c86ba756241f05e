"""Paths of shards: a folder of them, one file, or a pattern such as `train-{000..127}.tar`."""

import itertools
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iddm_cli.data.decoding.formats.table import IMAGE_SUFFIXES
from iddm_cli.data.sources.indexing.labels.label_files import is_label_file
from iddm_cli.data.sources.indexing.layouts.splits import find_use, parse_part
from iddm_cli.data.sources.source import find_existing
from iddm_cli.errors import DatasetError

MAX_DEPTH = 3
"""Levels of folders in which shards are looked for."""

MAX_OTHER_FILES = 10_000
"""Other files that a folder of shards may hold."""

MAX_SHARDS = 1_000_000

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_COUNTER = re.compile(r"(?:[-_.]?\d+(?:-of-\d+)?)+$")


@dataclass(frozen=True)
class ShardPaths:
    """The shards of a dataset.

    Attributes:
        base: The folder that they are in, and the files that may name their classes.
        paths: Their paths below it, "/" between the parts, in the order in which they are read.
        label_files: Files beside them that may hold names of classes.
    """

    base: Path
    paths: tuple[str, ...]
    label_files: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShardSplit:
    """Which shards are trained on.

    Attributes:
        training: The shards to train on.
        held_out: Those that measure quality; empty if there are none.
        part: Name of their part of a split, such as val.
        others: Number of shards that belong to further parts.
    """

    training: tuple[str, ...]
    held_out: tuple[str, ...] = ()
    part: str = ""
    others: int = 0


def is_pattern(path: str) -> bool:
    """Return whether a text is a pattern of names, and no existing file or folder."""
    return bool(_BRACES.search(path) or "*" in path) and find_existing(path) is None


def find_shards(path: str, suffixes: Sequence[str]) -> ShardPaths | None:
    """Return the shards that `data.path` means; None where it means something else.

    Args:
        path: A folder, a file, or a pattern.
        suffixes: Suffixes of the shards, in lower case.

    Raises:
        DatasetError: A pattern names files that do not exist, or too many.
    """
    if is_pattern(path):
        return _match_pattern(path, suffixes)
    found = find_existing(path)
    if found is None:
        return None
    if found.is_dir():
        return _search_folder(found, suffixes)
    if not found.name.lower().endswith(tuple(suffixes)):
        return None
    return ShardPaths(found.parent, (found.name,), _list_label_files(found.parent))


def expand_braces(pattern: str) -> list[str]:
    """Return the names that a pattern means: {000..127} counts, and {a,b} lists.

    Raises:
        DatasetError: There are more than MAX_SHARDS, or a range is reversed.
    """
    literals = _BRACES.split(pattern)[::2]
    choices = [_expand_choices(text, pattern) for text in _BRACES.findall(pattern)]
    if math.prod(map(len, choices)) > MAX_SHARDS:
        raise DatasetError(
            f"data.path {pattern} means more than {MAX_SHARDS:,} files", "Check the pattern."
        )
    return [
        "".join(map("".join, zip(literals, (*chosen, ""), strict=True)))
        for chosen in itertools.product(*choices)
    ]


def split_shards(paths: Sequence[str]) -> ShardSplit:
    """Return which shards are trained on, by their names, as in train-00000-of-00002.parquet.

    They are a split only if some are training shards by name, and some are held out.
    """
    names = {path: _part_name(path) for path in paths}
    parsed = {name: parse_part(name) for name in dict.fromkeys(names.values())}
    kinds = {name: part.part if part else None for name, part in parsed.items()}
    if not {"training", "held out"} <= set(kinds.values()):
        return ShardSplit(tuple(paths))
    training = tuple(path for path in paths if kinds[names[path]] == "training")
    for use in ("validation", "test"):
        uses = sorted(name for name in kinds if find_use(name) == use)
        if uses:
            held_out = tuple(path for path in paths if names[path] == uses[0])
            rest = len(paths) - len(training) - len(held_out)
            return ShardSplit(training, held_out, uses[0], rest)
    return ShardSplit(training, others=len(paths) - len(training))


def _part_name(path: str) -> str:
    """Return the part of the name of a shard that may name a part of a split."""
    folder, _, name = path.rpartition("/")
    stem = _COUNTER.sub("", name.partition(".")[0])
    return stem if parse_part(stem) or not folder else folder.rpartition("/")[2]


def _expand_choices(text: str, pattern: str) -> list[str]:
    span = _RANGE.fullmatch(text)
    if span is None:
        return text.split(",")
    first, last = int(span[1]), int(span[2])
    if last < first or last - first >= MAX_SHARDS:
        raise DatasetError(
            f"data.path {pattern}: {{{text}}} is not a range of shards",
            "Write the first and the last number, as in {000..127}.",
        )
    width = len(span[1]) if span[1].startswith("0") else 0
    return [f"{number:0{width}d}" for number in range(first, last + 1)]


def _match_pattern(pattern: str, suffixes: Sequence[str]) -> ShardPaths | None:
    names = expand_braces(pattern)
    if not all(name.lower().endswith(tuple(suffixes)) for name in names):
        return None
    found = [path for name in names for path in _list_matches(name)]
    missing = [path for path in found if not path.is_file()]
    if missing or not found:
        problem = f"{missing[0]} does not exist" if missing else "no file has such a name"
        more = f" ({len(missing):,} of {len(found):,} files are missing)" if missing else ""
        raise DatasetError(f"data.path {pattern}: {problem}{more}", "Check the pattern.")
    base = Path(os.path.commonpath([path.parent for path in found]))
    paths = tuple(path.relative_to(base).as_posix() for path in found)
    return ShardPaths(base, paths, _list_label_files(base))


def _list_matches(name: str) -> list[Path]:
    """Return the files that a name with stars means; a name without stars means itself."""
    path = Path(name).expanduser().absolute()
    if "*" not in name:
        return [path]
    fixed = [part for part in path.parts if "*" not in part]
    if path.parts[: len(fixed)] != tuple(fixed):
        fixed = list(path.parts[: next(i for i, p in enumerate(path.parts) if "*" in p)])
    base = Path(*fixed)
    return sorted(base.glob(str(path.relative_to(base))), key=os.fsencode)


def _search_folder(folder: Path, suffixes: Sequence[str]) -> ShardPaths | None:
    """Return the shards below a folder; None if there are none, or images beside them."""
    shards: list[str] = []
    others = 0
    for root, folders, names in os.walk(folder):
        below = Path(root).relative_to(folder)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(below.parts) >= MAX_DEPTH:
            folders.clear()
        for name in names:
            lower = name.lower()
            if name.startswith("."):
                continue
            if lower.endswith(tuple(suffixes)):
                shards.append((below / name).as_posix())
            elif lower.endswith(IMAGE_SUFFIXES) or (others := others + 1) > MAX_OTHER_FILES:
                return None
    if not shards:
        return None
    return ShardPaths(folder, tuple(sorted(shards, key=os.fsencode)), _list_label_files(folder))


def _list_label_files(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(entry.name for entry in folder.iterdir() if is_label_file(entry.name)))
    except OSError:
        return ()
