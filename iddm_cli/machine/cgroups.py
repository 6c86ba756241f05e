"""Control groups of Linux: the folders whose limits bind this process, its own and all above.

A container, a systemd slice or a SLURM job is a control group. There are two interfaces: v1 has one
tree of groups per controller (memory, cpu, ...), v2 one tree for all; a system may mount both.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")


@dataclass(frozen=True)
class ControlGroup:
    """The folder of one control group.

    Attributes:
        folder: Where its files are.
        version: 1 or 2.
    """

    folder: Path
    version: int

    def read(self, name: str) -> str:
        """Return the content of a file; "" if it cannot be read."""
        try:
            return (self.folder / name).read_text().strip()
        except (OSError, ValueError):
            return ""

    def read_number(self, name: str) -> int | None:
        """Return the number in a file; None if there is none, or it is "max" or -1 (no limit)."""
        text = self.read(name)
        return int(text) if text.isdecimal() else None

    def read_table(self, name: str) -> dict[str, int]:
        """Return the numbers of a file of lines `key number`."""
        pairs = (line.split() for line in self.read(name).splitlines())
        return {p[0]: int(p[1]) for p in pairs if len(p) == 2 and p[1].isdecimal()}


@dataclass(frozen=True)
class _Mount:
    """Where one tree of control groups is mounted."""

    group: PurePosixPath  # the group that the mount point shows
    folder: Path
    version: int
    controllers: frozenset[str]


def find_groups(controller: str, root: Path = ROOT) -> list[ControlGroup]:
    """Return this process's control group of a controller and those above it, innermost first.

    Args:
        controller: memory, cpu or pids.
        root: The root folder of the system; another one in tests.
    """
    own = _read_own_groups(root)
    groups: dict[Path, ControlGroup] = {}
    for mount in _read_mounts(root):
        name = "" if mount.version == 2 else controller
        if mount.version == 1 and controller not in mount.controllers:
            continue
        for folder in _climb(mount, own.get(name)):
            groups.setdefault(folder, ControlGroup(folder, mount.version))
    return list(groups.values())


def _read_own_groups(root: Path) -> dict[str, PurePosixPath]:
    """Return the path of this process's group by controller; "" is the tree of v2."""
    own = {}
    for line in _read_lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            own[controller] = PurePosixPath(path)
    return own


def _read_mounts(root: Path) -> Iterator[_Mount]:
    """Yield the mounted trees (proc_pid_mountinfo(5)); without /proc, those at the usual place."""
    lines = _read_lines(root / "proc/self/mountinfo")
    for line in lines:
        front, _, back = line.partition(" - ")
        fields, kind = front.split(), back.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        group, folder = (PurePosixPath(_unescape(field)) for field in fields[3:5])
        version = 2 if kind[0] == "cgroup2" else 1
        yield _Mount(group, _below(root, folder), version, frozenset(kind[2].split(",")))
    if not lines:
        base = root / "sys/fs/cgroup"
        yield _Mount(PurePosixPath("/"), base, 2, frozenset())
        for controller in ("memory", "cpu", "cpu,cpuacct", "pids"):
            names = frozenset(controller.split(","))
            yield _Mount(PurePosixPath("/"), base / controller, 1, names)


def _climb(mount: _Mount, own: PurePosixPath | None) -> Iterator[Path]:
    """Yield the folder of a group and those above it, up to the mount point.

    A group outside of what the mount shows, as in a container that sees only its own groups, is
    represented by the mount point.
    """
    folder = mount.folder
    if own is not None and ".." not in own.parts and own.is_relative_to(mount.group):
        folder = mount.folder / own.relative_to(mount.group)
    while folder != mount.folder and mount.folder in folder.parents:
        yield folder
        folder = folder.parent
    yield mount.folder


def _below(root: Path, path: PurePosixPath) -> Path:
    return root / path.relative_to("/") if path.is_absolute() else root / path


def _unescape(field: str) -> str:
    """Return a path of mountinfo, which writes a space as backslash 040."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
