"""Disks that fail, end the process, or remember; each is put in the place of `durable.disk`."""

import errno
import io
import os
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from iddm_cli import durable
from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.durable import Disk
from iddm_cli.errors import CheckpointError

CALLS = (
    "make_folder",
    "create",
    "append_to",
    "write",
    "truncate",
    "flush",
    "flush_folder",
    "rename",
    "remove",
)


@dataclass(frozen=True)
class Call:
    """A call of a disk: its name, the file or folder it is about, and what else it is given."""

    name: str
    path: Path
    rest: tuple = ()
    handle: object = None


class Unsynced(Disk):
    """Flushes nothing, which only a power cut would show."""

    def flush(self, handle: IO[bytes]) -> None: ...

    def flush_folder(self, path: Path) -> None: ...


class Watched(Unsynced):
    """A disk each of whose calls is met before it is made, and after."""

    def before(self, call: Call) -> None: ...

    def after(self, call: Call) -> None: ...


def _watched(name: str) -> Callable:
    def method(self, target, *rest):
        opened = None if isinstance(target, Path) else target
        call = Call(name, Path(opened.name) if opened else target, rest, opened)
        self.before(call)
        result = getattr(Unsynced, name)(self, target, *rest)
        self.after(call)
        return result

    return method


for _name in CALLS:
    setattr(Watched, _name, _watched(_name))


class Recorder(Watched):
    """Notes all that is done, and what may be found after a power cut from then on."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def after(self, call: Call) -> None:
        self.calls.append(call)

    def allow(self, *outcomes: object) -> None:
        self.calls.append(Call("allow", Path(), (frozenset(outcomes),)))

    def damage(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        self.calls.append(Call("damage", path, (content,)))


class Lacking(Recorder):
    """Refuses what a file system may lack, by the names of `storage.features`."""

    def __init__(self, *lacks: str, code: int = errno.EPERM) -> None:
        super().__init__()
        self.lacks = lacks
        self.code = code

    def before(self, call: Call) -> None:
        if set(self.lacks) & set(self._needs(call)):
            raise OSError(self.code, os.strerror(self.code))

    def _needs(self, call: Call) -> Iterator[str]:
        match call.name:
            case "flush":
                yield "flush_file"
            case "flush_folder":
                yield "flush_folder"
            case "append_to":
                yield "append"
            case "rename":
                yield "rename"
                if call.path.is_dir():
                    yield "rename_folder"
                if call.rest[0].exists():
                    yield "replace"


class Failing(Watched):
    """Fails at one call, and at those after it, if that is said."""

    def __init__(self, number: int, code: int, *, for_good: bool = False) -> None:
        self.number = number
        self.code = code
        self.for_good = for_good
        self.calls: list[Call] = []

    def before(self, call: Call) -> None:
        self.calls.append(call)
        made = len(self.calls)
        if made == self.number or (self.for_good and made > self.number):
            raise OSError(self.code, os.strerror(self.code))


class Deadly(Watched):
    """Ends the process, as a kill does, before, amid or after one call."""

    def __init__(self, number: int, moment: str) -> None:
        self.left = number
        self.moment = moment

    def before(self, call: Call) -> None:
        self.left -= 1
        if self.left == 0 and self.moment == "amid":
            _do_half(call)
        if self.left == 0 and self.moment != "after":
            end()

    def after(self, call: Call) -> None:
        if self.left == 0:
            end()


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _do_half(call: Call) -> None:
    if call.name == "write":
        (content,) = call.rest
        os.write(call.handle.fileno(), content[: len(content) // 2])
    elif call.name == "remove":
        next(path for path in call.path.iterdir()).unlink()


class Full(Disk):
    """Has room for so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, handle: IO[bytes], content: bytes) -> None:
        super().write(handle, content[: self.room])
        if len(content) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(content)


class Stuttering(Disk):
    """Opens files that take only a few bytes at once."""

    class File(io.FileIO):
        def write(self, content) -> int:
            return super().write(content[: random.randint(1, 99)])

    def create(self, path: Path) -> IO[bytes]:
        return self.File(path, "wb")


def tensors(step: int, course: int = 0) -> dict:
    return {
        part: {"a": torch.full((3, 2), float(step)), "b.step": torch.tensor(float(course))}
        for part in ("model", "average", "optimizer")
    }


def save(folder: CheckpointFolder, *steps: int, course: int = 0) -> None:
    for step in steps:
        folder.save(step, tensors(step, course), {"bits": {"course": course}, "scaler": {}})


def found(folder: CheckpointFolder) -> tuple[int, int] | None:
    """Return step and course of the checkpoint that would be used, whose tensors must be right."""
    try:
        saved, _ = folder.latest_valid()
    except CheckpointError:
        return None
    course = int(saved.numerics["course"])
    for part, wanted in tensors(saved.step, course).items():
        read = saved.read(part, wanted)
        assert all(torch.equal(read[name], tensor) for name, tensor in wanted.items())
    return saved.step, course


def litter(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(f"{durable.PARTIAL_PREFIX}*")]
