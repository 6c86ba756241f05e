"""Cache of feature networks and features: folders of safetensors and JSON.

An entry appears as a whole or not at all. One that is damaged, or that was made from something
else, is ignored and replaced. A cache that cannot be written costs time, never a result.
"""

import contextlib
import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from iddm_cli import durable
from iddm_cli.checkpoints.tensors import find_non_finite

FORMAT = 1
TENSORS_FILE = "tensors.safetensors"
FACTS_FILE = "facts.json"
MOST_FACTS = 2**16
"""Bytes that the facts of an entry take at most."""

FEATURES = "features-"
"""How names of entries begin of which only the newest are kept."""

KEPT = 100
"""Number of these: evaluations during training add one each time."""

Facts = Mapping[str, object]

_writing = threading.Lock()
"""Threads write in turn: what is written has a temporary name of the process."""


@dataclass(frozen=True)
class FeatureCache:
    """Entries of one folder, each a folder of its own.

    Attributes:
        folder: The folder; it is created with the first entry.
    """

    folder: Path

    def load(self, name: str, facts: Facts) -> dict[str, Tensor] | None:
        """Return the tensors of an entry; None if there is none that is whole and has these facts.

        Args:
            name: Name of the entry.
            facts: What it must have been made from.
        """
        path = self.folder / name
        try:
            with (path / FACTS_FILE).open("rb") as handle:
                found = json.loads(handle.read(MOST_FACTS))
            content = (path / TENSORS_FILE).read_bytes()
            if found != _all_facts(facts, content):
                return None
            tensors = load(content)
        except (OSError, ValueError, RecursionError, SafetensorError):
            return None
        return tensors if find_non_finite(tensors) is None else None

    def save(self, name: str, facts: Facts, tensors: Mapping[str, Tensor]) -> None:
        """Write an entry, if the folder can be written.

        Args:
            name: Name of the entry.
            facts: What it was made from; must be what JSON can hold.
            tensors: Its content.
        """
        content = save({key: tensor.contiguous() for key, tensor in tensors.items()})
        description = json.dumps(_all_facts(facts, content), indent=2).encode()
        files = ((TENSORS_FILE, content), (FACTS_FILE, description))
        with _writing, contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            durable.write_folder(self.folder / name, files, replace=True)
            self._remove_old()

    def _remove_old(self) -> None:
        entries = list(self.folder.glob(f"{FEATURES}*"))
        if len(entries) > KEPT:
            entries.sort(key=lambda path: path.stat().st_mtime_ns)
            for path in entries[:-KEPT]:
                durable.discard(path)


def _all_facts(facts: Facts, content: bytes) -> dict[str, object]:
    return {**facts, "format": FORMAT, "sha256": hashlib.sha256(content).hexdigest()}
