"""Entries of the journal of an unfinished pack: what is known of each image, without its pixels."""

import re

from iddm_cli.data.decoding.preprocess import PreparedImage, PrepareResult

_ENTRY = [str, int, int, bool, bool, str]
_DIGEST = re.compile(r"[0-9a-f]{32}")


def to_json(result: PrepareResult) -> object:
    """Return an entry of the journal."""
    if isinstance(result, str):
        return result
    facts = [result.digest, result.width, result.height, result.grey, result.animated]
    return [*facts, result.content]


def from_json(entry: object) -> PrepareResult:
    """Return what an entry of the journal says.

    Raises:
        ValueError: It is not an entry.
    """
    if isinstance(entry, str):
        return entry
    if not isinstance(entry, list) or [type(part) for part in entry] != _ENTRY:
        raise ValueError("not an entry of a journal")
    if not (_DIGEST.fullmatch(entry[0]) and _DIGEST.fullmatch(entry[-1])):
        raise ValueError("not the digests of an image")
    return PreparedImage(b"", *entry)
