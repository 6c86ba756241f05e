"""Fingerprints: the same for the same content, and never believed where it may have changed."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from iddm_cli import durable
from iddm_cli.data.progress import no_progress
from iddm_cli.data.sources import fingerprint
from iddm_cli.data.sources.fingerprint import SETTLED_SECONDS, digest_files

NAMES = ("a.png", "b/c.png", "b/d.png")


def write(root: Path, names: tuple[str, ...] = NAMES) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(os.fsencode(f"content of {name}"))
    return root


def now(root: Path, *names: str) -> str:
    return digest_files(root, names or NAMES, no_progress)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "set")


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all files were old enough to be believed."""
    monkeypatch.setattr(fingerprint, "SETTLED_SECONDS", -1.0)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Which files were read since the last call."""
    names: list[str] = []
    digest = fingerprint._digest_content
    monkeypatch.setattr(
        fingerprint, "_digest_content", lambda path: (names.append(path.name), digest(path))[1]
    )

    def taken() -> list[str]:
        seen = sorted(names)
        names.clear()
        return seen

    return taken


def memories(cache_dir: Path) -> list[Path]:
    folder = cache_dir / "digests"
    return sorted(folder.iterdir()) if folder.exists() else []


ALL = ["a.png", "c.png", "d.png"]


# --- what it depends on -----------------------------------------------------------------------


def test_equal_contents_give_equal_digests(root: Path, tmp_path: Path) -> None:
    first = now(root)
    assert len(first) == 64
    other = write(tmp_path / "elsewhere")
    for name in NAMES:
        os.utime(other / name, (1, 1))
    assert now(other) == first
    (root / "unlisted.png").touch()
    assert now(root) == first


def test_every_difference_is_seen(root: Path) -> None:
    seen = [now(root), now(root, *reversed(NAMES)), now(root, "a.png", "b/c.png")]
    (root / "a.png").write_text("content of b/c.png")
    seen.append(now(root))
    (root / "a.png").write_text("")
    seen.append(now(root))
    (root / "a.png").unlink()
    seen.append(now(root))
    (root / "a.png").mkdir()
    seen.append(now(root))
    assert len(set(seen)) == len(seen)


def test_contents_that_change_places_are_seen(root: Path) -> None:
    before = now(root)
    (root / "a.png").rename(root / "x")
    (root / "b/c.png").rename(root / "a.png")
    (root / "x").rename(root / "b/c.png")
    assert now(root) != before


def test_the_seam_between_name_and_content_cannot_be_moved(tmp_path: Path) -> None:
    """Neither can two files be mistaken for one."""
    write(tmp_path, ("a", "ab", "b", "bb"))
    seen = {now(tmp_path, "a", "bb"), now(tmp_path, "ab", "b"), now(tmp_path, "a", "b")}
    assert len(seen) == 3


def test_names_count(root: Path) -> None:
    before = now(root)
    (root / "a.png").rename(root / "aa.png")
    assert now(root, "aa.png", *NAMES[1:]) != before


@pytest.mark.timeout(5)
def test_a_fifo_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe.png")
    assert now(root, "pipe.png") != now(root, "missing.png")


def test_a_file_alone_is_its_content(root: Path, tmp_path: Path) -> None:
    """So that an archive is known again when it was moved or called otherwise."""
    digest = now(root / "a.png", "")
    moved = (root / "a.png").rename(tmp_path / "b.zip")
    assert now(moved, "") == digest
    moved.write_text("content of b.png!")
    assert now(moved, "") != digest


def test_names_that_are_no_text(tmp_path: Path, cache_dir: Path, settled: None) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    write(tmp_path / "set", (name,))
    assert now(tmp_path / "set", name) == now(tmp_path / "set", name)
    assert json.loads(memories(cache_dir)[0].read_bytes()).keys() == {name}


# --- what is remembered -----------------------------------------------------------------------


def test_old_files_are_read_once(root: Path, settled: None, read: Callable[[], list[str]]) -> None:
    first = now(root)
    assert read() == ALL
    assert now(root) == first
    assert read() == []
    (root / "b/c.png").write_text("something else")
    assert now(root) != first
    assert read() == ["c.png"]
    assert now(root, *NAMES[:2]) != first
    assert read() == []


def test_what_is_remembered_gives_the_same_digest(
    root: Path, settled: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now(root)
    remembered = now(root)
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "another"))
    assert now(root) == remembered


def test_a_change_that_keeps_size_and_time_is_seen(
    root: Path, settled: None, read: Callable[[], list[str]]
) -> None:
    path = root / "a.png"
    os.utime(path, ns=(10**9, 10**9))
    first = now(root)
    assert now(root) == first
    read()
    size = path.stat().st_size
    path.write_text("CONTENT of a.png")
    os.utime(path, ns=(10**9, 10**9))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (size, 10**9)
    assert now(root) != first
    assert read() == ["a.png"]


def test_a_file_that_took_the_place_of_another_is_read(
    root: Path, tmp_path: Path, settled: None, read: Callable[[], list[str]]
) -> None:
    now(root)
    read()
    (root / "b/d.png").replace(root / "b/c.png")
    now(root, "b/c.png")
    assert read() == ["c.png"]


def test_young_files_are_not_believed(
    root: Path, read: Callable[[], list[str]], cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now(root)
    now(root)
    assert read() == sorted(ALL * 2)
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + SETTLED_SECONDS + 1)
    now(root)
    assert read() == ALL
    now(root)
    assert read() == []
    (root / "a.png").write_text("young again")
    os.utime(root / "a.png", (clock() + 60, clock() + 60))
    now(root)
    now(root)
    assert read() == ["a.png", "a.png"]


def test_an_old_time_makes_no_file_old(root: Path, read: Callable[[], list[str]]) -> None:
    """A copy that keeps times is as young as its arrival."""
    for name in NAMES:
        os.utime(root / name, (1, 1))
    now(root)
    now(root)
    assert read() == sorted(ALL * 2)


def test_a_file_that_changes_while_it_is_read_is_read_again(
    root: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = fingerprint._digest_content

    def change(path: Path) -> str:
        found = digest(path)
        path.write_text("written just behind the reader")
        return found

    monkeypatch.setattr(fingerprint, "_digest_content", change)
    first = now(root, "a.png")
    monkeypatch.setattr(fingerprint, "_digest_content", digest)
    assert now(root, "a.png") != first


def test_nothing_is_written_where_nothing_was_learnt(
    root: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now(root)

    def refuse(*_: object) -> None:
        raise AssertionError("nothing is new")

    monkeypatch.setattr(durable, "write_file", refuse)
    now(root)


def test_what_is_gone_is_forgotten(root: Path, cache_dir: Path, settled: None) -> None:
    now(root)
    (root / "a.png").unlink()
    now(root)
    assert json.loads(memories(cache_dir)[0].read_bytes()).keys() == set(NAMES[1:])


def test_each_folder_has_a_memory_of_its_own(
    root: Path, tmp_path: Path, cache_dir: Path, settled: None, read: Callable[[], list[str]]
) -> None:
    other = write(tmp_path / "other", ("a.png", "b.zip"))
    for _ in range(2):
        now(root)
        now(other, "a.png")
        now(other / "b.zip", "")
    assert read() == sorted([*ALL, "a.png", "b.zip"])
    assert len(memories(cache_dir)) == 3
    link = tmp_path / "link"
    link.symlink_to(root)
    now(link)
    assert read() == []


# --- what does no harm ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\0" * 100,
        b"no json",
        b"null",
        b"[]",
        b'"x"',
        b"[" * 100_000,
        b'{"a.png": 7}',
        b'{"a.png": null, "b/c.png": [], "b/d.png": {}}',
        b'{"a.png": ""}',
        b'{"\xff": "x"}',
    ],
)
def test_a_damaged_memory_does_no_harm(
    root: Path, cache_dir: Path, settled: None, damage: bytes, read: Callable[[], list[str]]
) -> None:
    first = now(root)
    memories(cache_dir)[0].write_bytes(damage)
    read()
    assert now(root) == first
    assert read() == ALL
    assert now(root) == first
    assert read() == []


def test_a_digest_that_is_none_is_not_believed(
    root: Path, cache_dir: Path, settled: None, read: Callable[[], list[str]]
) -> None:
    first = now(root)
    memory = memories(cache_dir)[0]
    known = json.loads(memory.read_bytes())
    read()
    for digest in ("", "0", "Z" * 32, "0" * 31, "0" * 33, "0" * 31 + "\n"):
        spoilt = {name: f"{entry.rsplit(' ', 1)[0]} {digest}" for name, entry in known.items()}
        memory.write_text(json.dumps(spoilt))
        assert now(root) == first
        assert read() == ALL


def test_a_memory_that_is_a_folder_or_cannot_be_written(root: Path, cache_dir: Path) -> None:
    first = now(root)
    (cache_dir / "digests").mkdir(parents=True, exist_ok=True)
    fingerprint._cache_path(root).unlink(missing_ok=True)
    fingerprint._cache_path(root).mkdir()
    assert now(root) == first


@pytest.mark.parametrize("way", ["file", "full"])
def test_a_cache_that_cannot_be_written_does_no_harm(
    root: Path,
    tmp_path: Path,
    settled: None,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    cache_dir: Path,
) -> None:
    if way == "file":
        cache_dir.write_text("in the way")
    else:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(durable.disk, "flush", full)
    first = now(root)
    assert now(root) == first
    monkeypatch.undo()
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "another"))
    assert now(root) == first
    assert [path for path in memories(cache_dir) if path.is_file()] == []


def test_unreadable_files_have_a_digest_of_their_own(
    root: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = now(root)

    def closed(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    digest = fingerprint._digest_content
    (root / "a.png").write_text("anew")
    monkeypatch.setattr(fingerprint, "_digest_content", closed)
    second = now(root)
    monkeypatch.setattr(fingerprint, "_digest_content", digest)
    assert len({first, second, now(root)}) == 3, "and is read as soon as that can be done"


def test_thousands_of_files(tmp_path: Path, settled: None, read: Callable[[], list[str]]) -> None:
    names = tuple(f"{i % 7}/{i:05d}" for i in range(2500))
    root = write(tmp_path / "set", names)
    calls: list[tuple[str, int, int]] = []
    first = digest_files(root, names, lambda *call: calls.append(call))
    assert calls == [("checking files", done, 2500) for done in (1024, 2048, 2500)]
    assert len(read()) == 2500
    assert now(root, *names) == first
    assert read() == []
    changed = random.Random(0).choice(names)
    (root / changed).write_text("changed")
    assert now(root, *names) != first
    assert len(read()) == 1


def test_another_process_finds_the_same(root: Path) -> None:
    code = (
        "import sys, pathlib; from iddm_cli.data.sources.fingerprint import digest_files;"
        "print(digest_files(pathlib.Path(sys.argv[1]), sys.argv[2:], lambda *_: None));"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'PIL')))"
    )
    command = [sys.executable, "-c", code, str(root), *NAMES]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == now(root)
