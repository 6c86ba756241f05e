"""Control groups: found for both versions, in containers and out of them, with all groups above."""

import pytest

from iddm_cli.machine.cgroups import find_groups
from tests.machine.conftest import V1, V2


def folders(system, controller: str = "memory") -> list[str]:
    base = system.root / "sys/fs/cgroup"
    return [str(g.folder.relative_to(base)) for g in find_groups(controller, system.root)]


@pytest.mark.parametrize(
    ("own", "group", "expected"),
    [
        ("/", "/", ["."]),
        ("/a/b", "/", ["a/b", "a", "."]),  # systemd, SLURM
        ("/docker/1f", "/docker/1f", ["."]),  # the host's names, the container's mount
        ("/docker/1f/job", "/docker/1f", ["job", "."]),
        ("/../../other", "/", ["."]),  # outside of the namespace
        ("/user.slice", "/docker/1f", ["."]),
        ("/a b", "/", ["a b", "."]),
    ],
)
def test_the_own_group_and_those_above_it_in_both_versions(system, own, group, expected):
    system.mount_v2(own, group)
    assert folders(system) == expected
    system.mount_v1("memory", own, group)
    assert folders(system) == [f"memory/{name}".removesuffix("/.") for name in expected]


def test_a_hybrid_system_has_both(system):
    system.mount(
        V1.format(group="/", name="cpu,cpuacct"),
        V1.format(group="/", name="memory"),
        V2.format(group="/").replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified"),
        own="5:cpu,cpuacct:/c\n4:memory:/m\n0::/u",
    )
    assert folders(system) == ["memory/m", "memory", "unified/u", "unified"]
    assert folders(system, "cpu") == ["cpu,cpuacct/c", "cpu,cpuacct", "unified/u", "unified"]


def test_escaped_names_of_mount_points_are_read(system):
    system.mount(V2.format(group="/").replace("/sys/fs", "/sys/my\\040fs"), own="0::/")
    assert [group.folder.parent.name for group in find_groups("memory", system.root)] == ["my fs"]


def test_without_proc_the_usual_places_are_tried(system):
    for name in ("cgroup", "mountinfo"):
        (system.root / "proc/self" / name).unlink()
    assert folders(system) == [".", "memory"]


def test_what_cannot_be_read_is_no_limit(system):
    system.mount_v2()
    (group,) = find_groups("memory", system.root)
    assert (group.read("memory.max"), group.read_number("memory.max")) == ("", None)
    for text in ("max", "-1", "much", ""):
        system.set("", memory_max=text)
        assert group.read_number("memory.max") is None
    system.set("", memory_stat="anon 1\ninactive_file 5\nodd\nx y\n")
    assert group.read_table("memory.stat") == {"anon": 1, "inactive_file": 5}


def test_odd_lines_of_proc_are_skipped(system):
    system.mount("x", "1 2 3 4 - cgroup2", "30 23 0:26 / /a rw - cgroup2", own="\n:\nx\n0::/")
    assert find_groups("memory", system.root) == []
