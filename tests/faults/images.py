"""What a power cut may leave: a model of the disk, after ALICE (Pillai et al. 2014).

A file's bytes are safe once the file was flushed, and a name once its folder was. Of what is not
safe, anything may be there: of the changes of a folder any of them without the others, though
a rename takes the old name away and gives the new one at once; of the bytes of a file none,
a part, or all, or as many zeros. To flush a file makes no name safe.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.disks import Call

Image = bytes | tuple
"""A file's bytes, or the names in a folder, each with its image."""


@dataclass
class File:
    """A file: its bytes, and those of them that are safe."""

    content: bytes = b""
    safe: bytes = b""

    def images(self) -> set[Image]:
        if self.content == self.safe:
            return {self.safe}
        half = self.content[: (len(self.safe) + len(self.content)) // 2]
        zeros = self.safe + bytes(max(0, len(self.content) - len(self.safe)))
        return {self.safe, half, zeros, self.content}


Change = tuple[str | None, str | None, "File | Folder"]
"""The name that is taken from a file or folder, and the one that it is given."""


def changed(names: dict, change: Change) -> dict:
    old, new, node = change
    names = {name: there for name, there in names.items() if name != old or there is not node}
    return names | ({new: node} if new else {})


@dataclass
class Folder:
    """A folder: its names, those that are safe, and the changes from those to these."""

    names: dict = field(default_factory=dict)
    safe: dict = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)

    def change(self, old: str | None, new: str | None, node: "File | Folder") -> None:
        self.names = changed(self.names, (old, new, node))
        self.pending.append((old, new, node))

    def flush(self) -> None:
        self.safe, self.pending = dict(self.names), []

    def images(self) -> Iterator[Image]:
        for names in self._possible():
            inside = [names[name].images() for name in sorted(names)]
            for images in itertools.product(*inside):
                yield tuple(zip(sorted(names), images, strict=True))

    def _possible(self) -> Iterator[dict]:
        met = set()
        for chosen in itertools.product((True, False), repeat=len(self.pending)):
            names = self.safe
            for change in itertools.compress(self.pending, chosen):
                names = changed(names, change)
            key = frozenset((name, id(node)) for name, node in names.items())
            if key not in met:
                met.add(key)
                yield names


class Model:
    """The disk below one folder, which is empty at first.

    Attributes:
        allowed: What may be found after a power cut.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = Folder()
        self.allowed: frozenset = frozenset()

    def at(self, path: Path) -> File | Folder:
        node: File | Folder = self.top
        for name in path.relative_to(self.root).parts:
            node = node.names[name]
        return node

    def apply(self, call: Call) -> None:
        getattr(self, call.name)(call.path, *call.rest)

    def allow(self, _: Path, outcomes: frozenset) -> None:
        self.allowed = outcomes

    def damage(self, path: Path, content: bytes) -> None:
        self.at(path).content = self.at(path).safe = content

    def make_folder(self, path: Path) -> None:
        self.at(path.parent).change(None, path.name, Folder())

    def create(self, path: Path) -> None:
        self.at(path.parent).change(None, path.name, File())

    def write(self, path: Path, content: bytes) -> None:
        self.at(path).content += content

    def flush(self, path: Path) -> None:
        self.at(path).safe = self.at(path).content

    def flush_folder(self, path: Path) -> None:
        self.at(path).flush()

    def rename(self, old: Path, new: Path) -> None:
        node = self.at(old)
        if old.parent == new.parent:
            self.at(old.parent).change(old.name, new.name, node)
        else:  # two folders change, and a power cut may keep either change without the other
            self.at(old.parent).change(old.name, None, node)
            self.at(new.parent).change(None, new.name, node)

    def remove(self, path: Path) -> None:
        node = self.at(path)
        for name in list(node.names) if isinstance(node, Folder) else ():
            self.remove(path / name)
        self.at(path.parent).change(path.name, None, node)


def crash_images(root: Path, calls: Iterable[Call]) -> Iterator[tuple[Image, frozenset]]:
    """Yield each thing that a power cut may leave, once, and what may be found there."""
    model, met = Model(root), set()
    for call in calls:
        model.apply(call)
        for image in model.top.images():
            if (image, model.allowed) not in met:
                met.add((image, model.allowed))
                yield image, model.allowed


def put(image: Image, path: Path) -> None:
    """Put an image on the real disk."""
    if isinstance(image, bytes):
        path.write_bytes(image)
        return
    path.mkdir(exist_ok=True)
    for name, inside in image:
        put(inside, path / name)
