"""Strict YAML: plain data with line numbers, without the surprises of YAML.

Scalars follow the core schema of YAML 1.2: `1e-4` is a number; `no`, `012` and `12:30` are text.
Duplicate keys, anchors, tags and second documents are errors; depth, size and the number of
values are bounded. PyYAML only parses the text into events; it constructs no objects.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from iddm_cli.errors import ProfileError

KeyPath = tuple[str | int, ...]

MAX_BYTES = 2**20
MAX_DEPTH = 16
MAX_DIGITS = 30
MAX_VALUES = 10_000
MAX_KEY = 200
MAX_QUOTED = 80
"""Most characters of the user's text that a message quotes."""

NULL = re.compile(r"~|null|Null|NULL|")
TRUE = re.compile(r"true|True|TRUE")
FALSE = re.compile(r"false|False|FALSE")
# YAML 1.2 reads 012 as 12, and YAML 1.1 as 10; it probably is a name, so it stays text.
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class Document:
    """Parsed YAML: plain dicts, lists and scalars, and the line of each value."""

    data: object
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def line(self, path: KeyPath) -> int | None:
        """Return the line, from 1, of the value at a path such as ("training", "lr"), or None."""
        return self.lines.get(path)


def read_yaml(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        ProfileError: The file cannot be read, is too large, is not UTF-8, or not strict YAML.
    """
    try:
        with path.open("rb") as file:  # bounded, whatever size the file claims
            content = file.read(MAX_BYTES + 1)
        return parse_yaml(content.decode(), str(path))
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ProfileError(
            f"{path}, line {line}: not UTF-8 text: {error.reason}", "Save it as UTF-8."
        ) from error


def parse_yaml(text: str, source: str) -> Document:
    """Parse a YAML text.

    Args:
        text: The text.
        source: Name of the text in messages.

    Raises:
        ProfileError: The text is not strict YAML; the message names source and line.
    """
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise ProfileError(f"{source} is larger than {MAX_BYTES // 2**20} MiB")
    try:
        return _Builder(text.removeprefix("\ufeff"), source).document()
    except yaml.MarkedYAMLError as error:
        raise ProfileError(
            f"{source}{_format_position(error)}: {_describe_error(error)}"
        ) from error
    except yaml.reader.ReaderError as error:
        where = _find_position(text.removeprefix("\ufeff"), error.position)
        raise ProfileError(
            f"{source}, {where}: special characters are not allowed: U+{error.character:04X}",
            "Save it as plain text, in UTF-8.",
        ) from error
    except ValueError as error:  # raised by PyYAML for an escape or a directive
        raise ProfileError(f"{source}: a backslash or % with an impossible number") from error


def parse_value(text: str, source: str) -> object:
    """Parse the right side of KEY=VALUE: a scalar, or a list such as [1, 2].

    Raises:
        ProfileError: The value is empty or not YAML.
    """
    text = text.strip()
    if not text:
        raise ProfileError(f"{source}: no value", "Write null for none.")
    if text[0] in "[{'\"":
        return parse_yaml(text, source).data
    # On the command line, # and : and * have no special meaning: a path may contain them.
    try:
        return _parse_scalar(text)
    except ValueError as error:
        raise ProfileError(f"{source}: {error}") from None


def shorten(text: str) -> str:
    """Return a text in one line of at most MAX_QUOTED characters, for messages."""
    line = " ".join(text.splitlines())
    return line if len(line) <= MAX_QUOTED else f"{line[:MAX_QUOTED]}..."


def _parse_scalar(text: str) -> object:
    """Return the value of a scalar without quotes.

    Raises:
        ValueError: The value is a number too long or not finite.
    """
    if NULL.fullmatch(text):
        return None
    if TRUE.fullmatch(text) or FALSE.fullmatch(text):
        return bool(TRUE.fullmatch(text))
    if INTEGER.fullmatch(text) or BASED.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a number of {len(text)} digits")
        return int(text, 0)
    if FLOAT.fullmatch(text) or NOT_FINITE.fullmatch(text):
        number = float(text) if FLOAT.fullmatch(text) else math.inf
        if not math.isfinite(number):
            raise ValueError(f"{shorten(text)} is not a finite number")
        return number
    return text


def _join_surrogates(text: str) -> str:
    """Join surrogate pairs, which JSON uses.

    Raises:
        ValueError: One half of a pair is missing.
    """
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ValueError("a lone surrogate, which is half a character") from None


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _format_position(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _describe_error(error: yaml.MarkedYAMLError) -> str:
    """Return PyYAML's message, with words for its marks of the end of the text."""
    problem = shorten(error.problem or error.context or "not YAML")
    for end in ("'<stream end>'", repr("\0")):
        problem = problem.replace(end, "the end of the text")
    return problem


def _find_position(text: str, index: int) -> str:
    before = text[:index].split("\n")
    return f"line {len(before)}, column {len(before[-1]) + 1}"


class _Builder:
    """Builds plain data from PyYAML's events, and records the line of each value."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self.lines: dict[KeyPath, int] = {}
        self.count = 0

    def document(self) -> Document:
        next(self.events)
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            return Document(None)
        if getattr(start, "tags", None) or getattr(start, "version", None):
            raise self.refusal(start, "directives are not allowed")
        data = self.value(next(self.events), ())
        next(self.events)
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self.refusal(after, "a second document begins; a profile is one")
        return Document(data, self.lines)

    def value(self, event: yaml.Event, path: KeyPath) -> object:
        self.check(event, path)
        self.lines.setdefault(path, _line(event))
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(path)
        assert isinstance(event, yaml.ScalarEvent), "nothing else can stand here"
        return self.scalar(event)

    def check(self, event: yaml.Event, path: KeyPath) -> None:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise self.refusal(event, "anchors and aliases are not allowed")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self.refusal(event, f"the tag {shorten(tag)} is not allowed")
        if len(path) > MAX_DEPTH:
            raise self.refusal(event, f"nested deeper than {MAX_DEPTH} levels")
        self.count += 1
        if self.count > MAX_VALUES:
            raise self.refusal(event, f"more than {MAX_VALUES:,} keys and values")

    def sequence(self, path: KeyPath) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.value(event, (*path, len(items))))
        return items

    def mapping(self, path: KeyPath) -> dict[str, object]:
        items: dict[str, object] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.key(event, path)
            if key in items:
                first = self.lines[(*path, key)]
                raise self.refusal(event, f"duplicate key {key}, first on line {first}")
            self.lines[(*path, key)] = _line(event)
            items[key] = self.value(next(self.events), (*path, key))
        return items

    def key(self, event: yaml.Event, path: KeyPath) -> str:
        self.check(event, path)
        if not isinstance(event, yaml.ScalarEvent):
            raise self.refusal(event, "a key must be a word")
        if len(event.value) > MAX_KEY:
            raise self.refusal(event, f"a key of {len(event.value)} characters")
        if not event.value.isprintable():
            raise self.refusal(event, "a key with characters that cannot be printed")
        return event.value

    def scalar(self, event: yaml.ScalarEvent) -> object:
        try:
            text = _join_surrogates(event.value)
            return _parse_scalar(text) if event.implicit[0] else text
        except ValueError as error:
            raise self.refusal(event, str(error)) from None

    def refusal(self, event: yaml.Event, problem: str) -> ProfileError:
        return ProfileError(f"{self.source}, line {_line(event)}: {problem}")
