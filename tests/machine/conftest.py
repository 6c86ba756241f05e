"""Fake roots of Linux systems, with control groups of both versions."""

from pathlib import Path

import pytest

V2 = "30 23 0:26 {group} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "31 23 0:27 {group} /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}"


class FakeSystem:
    """A root folder whose /proc and /sys a test fills.

    Attributes:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/self/cgroup", "")
        self.write("proc/self/mountinfo", "")

    def write(self, path: str, content: object) -> None:
        """Write a file, and its folders."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")

    def mount(self, *lines: str, own: str) -> None:
        """Mount trees of control groups; `own` is the content of /proc/self/cgroup."""
        self.write("proc/self/mountinfo", "\n".join(["22 1 0:20 / / rw - ext4 disk rw", *lines]))
        self.write("proc/self/cgroup", own)

    def mount_v2(self, own: str = "/", group: str = "/") -> None:
        """Mount the tree of version 2 that begins at a group."""
        self.mount(V2.format(group=group), own=f"0::{own}")

    def mount_v1(self, name: str, own: str = "/", group: str = "/") -> None:
        """Mount the tree of one controller of version 1 that begins at a group."""
        self.mount(V1.format(group=group, name=name), own=f"4:{name}:{own}")

    def set(self, folder: str, **files: object) -> None:
        """Write files of a control group; memory_max stands for memory.max."""
        for name, content in files.items():
            self.write(f"sys/fs/cgroup/{folder}/{name.replace('_', '.', 1)}", content)


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    return FakeSystem(tmp_path)
