"""Records in the cache: small results that are measured once, each in a file named by its facts."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from iddm_cli import durable
from iddm_cli.data.cache import cache_folder


def locate_record(room: str, facts: object, *, suffix: str = ".json") -> Path:
    """Return the path of a record.

    Args:
        room: The folder of the cache for records of its kind.
        facts: Everything that the result depends on, as JSON.
        suffix: Suffix of the file.

    Raises:
        DatasetError: There is no folder for the cache.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return cache_folder() / room / f"{digest}{suffix}"


def save_record(path: Path, content: bytes) -> None:
    """Write a record; without a writable cache the result is measured again next time."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_file(path, content)
