"""Matching the cells of a table with images, however their paths were written.

A cell may hold a path relative to the table, a path on another machine, a name without a folder or
without a suffix, or an identifier.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from posixpath import normpath
from urllib.parse import unquote

EXACT, BY_TAIL, BY_NAME, BY_STEM, LOOSE = range(5)
"""How surely a cell means an image: the exact path comes first."""

MAX_SUFFIX = 5


@dataclass(frozen=True)
class Match:
    """The image that a cell means."""

    path: str | None
    """Path of the image; None for one that is not used, such as one of the test split."""
    level: int


class FileMatcher:
    """Finds the image that a cell of a table means.

    Args:
        paths: The images that are used.
        all_paths: All images of the dataset.
        folder: The folder of the table, with a slash at its end.
    """

    def __init__(self, paths: Sequence[str], all_paths: Sequence[str], folder: str) -> None:
        self.folder = folder
        self._paths = {compose(path): path for path in paths}
        self._others = {compose(path) for path in all_paths} - self._paths.keys()

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        return self._group(_name)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return self._group(_stem)

    @cached_property
    def _by_folded_stem(self) -> dict[str, list[str]]:
        return self._group(lambda path: _stem(path).casefold())

    @cached_property
    def _by_number(self) -> dict[str, list[str]]:
        """The images by number, if all are named by numbers: a spreadsheet strips zeros."""
        if not all(stem.isdecimal() and stem.isascii() for stem in self._by_stem):
            return {}
        return self._group(lambda path: _stem(path).lstrip("0") or "0")

    def _group(self, key: Callable[[str], str]) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = defaultdict(list)
        for path in self._paths:
            groups[key(path)].append(path)
        return groups

    def find(self, cell: object) -> Match | None:
        """Return the image that a cell means, or None if that is unknown or ambiguous."""
        text = clean_cell(cell)
        if not text:
            return None
        found = self._find(text)
        if found is None and "%" in text:
            found = self._find(unquote(text))
        return found

    def _find(self, text: str) -> Match | None:
        exact = compose(normpath(f"{self.folder}{text}"))
        if exact in self._paths:
            return Match(self._paths[exact], EXACT)
        if exact in self._others:
            return Match(None, EXACT)
        tails = list(_tails(compose(text)))
        name = tails[-1]
        stem, suffix = split_suffix(name)
        levels = [(BY_NAME, self._by_name.get(name)), (BY_STEM, self._by_stem.get(stem))]
        levels += [(LOOSE, self._by_folded_stem.get(stem.casefold()))]
        if not suffix and name.isdecimal():
            levels += [(LOOSE, self._by_number.get(name.lstrip("0") or "0"))]
        for level, candidates in levels:
            if candidates:
                return self._choose(candidates, tails, level)
        return None

    def _choose(self, candidates: list[str], tails: list[str], level: int) -> Match | None:
        """Return the candidate whose path ends like the cell, or the only one."""
        for tail in tails[:-1]:
            same = [
                path
                for path in candidates
                if split_suffix(f"/{path}")[0].endswith(f"/{split_suffix(tail)[0]}")
            ]
            if len(same) == 1:
                sure = level == BY_NAME and tail == tails[0]
                return Match(self._paths[same[0]], BY_TAIL if sure else level)
        return Match(self._paths[candidates[0]], level) if len(candidates) == 1 else None


def clean_cell(cell: object) -> str:
    """Return the text of a cell as a path with slashes; "" if it holds none."""
    if isinstance(cell, bool) or not isinstance(cell, str | int):
        return ""
    text = str(cell).strip()
    if "://" in text:
        text = text.partition("?")[0].partition("#")[0]
    return text.replace("\\", "/") if text else ""


def compose(name: str) -> str:
    """Compose accented letters: systems differ in how they write the same name."""
    return unicodedata.normalize("NFC", name)


def split_suffix(name: str) -> tuple[str, str]:
    """Split a file name before a suffix of letters, such as .jpg; "1.5" has none."""
    stem, dot, suffix = name.rpartition(".")
    is_suffix = dot and stem and suffix.isalnum() and not suffix.isdecimal()
    return (stem, suffix) if is_suffix and len(suffix) <= MAX_SUFFIX else (name, "")


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    """Return the name of a file without its suffix."""
    return split_suffix(_name(path))[0]


def _tails(path: str) -> Iterator[str]:
    """Yield a path, then without its first folder, and so on down to its name."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")] or [path]
    for start in range(len(parts)):
        yield "/".join(parts[start:])
