"""Unfinished packs that nobody resumes: removed after a while."""

import time
from pathlib import Path

from iddm_cli import durable

PARTIAL_LIFETIME = 14 * 86_400
"""Seconds after which an interrupted build that nobody resumed is removed."""


def remove_stale_partials(packs: Path) -> None:
    """Remove interrupted builds that nobody resumed for PARTIAL_LIFETIME."""
    for partial in packs.glob(f"{durable.PARTIAL_PREFIX}*"):
        if time.time() - _last_written(partial) > PARTIAL_LIFETIME:
            durable.discard(partial)


def _last_written(partial: Path) -> float:
    """Return when a folder was last written to; now, if it has just been removed."""
    try:
        return max(path.stat().st_mtime for path in (partial, *partial.rglob("*")))
    except (OSError, ValueError):
        return time.time()
