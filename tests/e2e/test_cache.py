"""`iddm cache` lists the cache, and clears what was selected and nothing else."""

import json
import os
import time
from pathlib import Path

import pytest

from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.registry import open_source
from iddm_cli.profiles.settings import DataSettings

from .conftest import Shell, draw_folder

DAY = 86_400


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache for each test alone, since it is cleared."""
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put(path: Path, size: int = 1000, days: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    then = time.time() - days * DAY
    for file in (path, path.parent):
        os.utime(file, (then, then))
    return path


def make_pack(folder: Path, size: int = 8) -> Path:
    settings = DataSettings(image_size=size, channels=3, workers=1, held_out=0)
    return build_pack(open_source(str(folder), size=(size, size)), settings).folder


@pytest.fixture
def filled(shell: Shell, cache: Path) -> Path:
    """A pack, an incomplete one, a download and two archives of two ages."""
    make_pack(draw_folder(shell.folder / "pets", {"cat": 2, "dog": 1}))
    put(cache / "packs" / f".partial-{'c' * 64}" / "images.u8", 500)
    put(cache / "datasets" / "cifar-10-python.tar.gz", 3_000_000)
    put(cache / "archives" / f"{'a' * 64}.tar", 2000, days=40)
    put(cache / "archives" / f"{'b' * 64}.tar", 1000, days=3)
    return cache


def listed(shell: Shell) -> dict[str, str]:
    entries = shell.iddm("cache", "--json").json()["entries"]
    return {entry["key"]: entry["kind"] for entry in entries}


def test_an_empty_cache(shell: Shell, cache: Path) -> None:
    for words in (("cache",), ("cache", "list")):
        answer = shell.iddm(*words)
        assert answer.out == ""
        assert answer.err == f"the cache folder {cache} is empty\n"
    assert shell.iddm("cache", "--json").json() == {"folder": str(cache), "entries": []}
    assert shell.iddm("cache", "clear", "--json").json() == {
        "removed": [],
        "in_use": [],
        "bytes": 0,
    }
    assert not cache.exists()


def test_the_entries_are_listed(shell: Shell, filled: Path) -> None:
    found = shell.iddm("cache", "--json").json()
    assert found["folder"] == str(filled)
    by_kind = {entry["kind"]: entry for entry in found["entries"]}
    assert by_kind.keys() == {"decoded images", "incomplete", "download", "tar"}
    pack = by_kind["decoded images"]
    assert pack["dataset"] == str(shell.folder / "pets")
    assert (pack["pictures"], pack["size"], pack["channels"]) == (3, "8 x 8", 3)
    assert Path(pack["path"]).name.startswith(pack["key"])
    assert (by_kind["download"]["bytes"], by_kind["incomplete"]["bytes"] >= 500) == (
        3_000_000,
        True,
    )
    assert [round(e["days"]) for e in found["entries"] if e["kind"] == "tar"] == [40, 3]
    answer = shell.iddm("cache")
    assert answer.out == shell.iddm("cache", "list").out
    assert answer.out.split()[:6] == ["key", "kind", "dataset", "images", "size", "bytes"]
    assert "cifar-10-python" in answer.out.splitlines()[1], "the largest comes first"
    assert "40 days ago" in answer.out
    assert f" in {filled}; clear with: iddm cache clear" in answer.err


def test_json_before_the_subcommand(shell: Shell, filled: Path) -> None:
    assert shell.iddm("cache", "--json", "list").json() == shell.iddm("cache", "--json").json()
    removed = shell.iddm("cache", "--json", "clear", "a" * 12).json()
    assert removed == {"removed": ["a" * 12], "in_use": [], "bytes": 2000}


def test_clear_removes_all_but_downloads(shell: Shell, filled: Path) -> None:
    answer = shell.iddm("cache", "clear")
    assert answer.out == ""
    assert answer.err.startswith("removed 4 cache entries, ")
    assert listed(shell) == {"cifar-10-python.tar.gz": "download"}
    assert not (filled / "digests").exists()
    shell.iddm("cache", "clear", "--downloads")
    assert listed(shell) == {}


def test_clear_by_age(shell: Shell, filled: Path) -> None:
    gone = shell.iddm("cache", "clear", "--older-than", "30", "--json").json()
    assert gone == {"removed": ["a" * 12], "in_use": [], "bytes": 2000}
    assert len(listed(shell)) == 4
    assert (
        shell.iddm("cache", "clear", "--older-than", "3", "c" * 12, "--json").json()["removed"]
        == []
    )
    gone = shell.iddm("cache", "clear", "--older-than", "0", "--json").json()
    assert len(gone["removed"]) == 3
    shell.iddm("cache", "clear", "--older-than", "-1", expect=2)


def test_clear_by_key(shell: Shell, filled: Path) -> None:
    whole = f"{'b' * 64}.tar"
    gone = shell.iddm("cache", "clear", "a" * 12, whole, "b" * 12, "a" * 12, "--json").json()
    assert sorted(gone["removed"]) == ["a" * 12, "b" * 12]
    assert gone["bytes"] == 3000
    gone = shell.iddm("cache", "clear", "cifar-10-python.tar.gz", "--json").json()
    assert gone["bytes"] == 3_000_000, "an entry named by its key is removed, a download as well"
    assert sorted(listed(shell).values()) == ["decoded images", "incomplete"]


def test_an_unknown_key_removes_nothing(shell: Shell, filled: Path) -> None:
    before = listed(shell)
    answer = shell.iddm("cache", "clear", "a" * 12, "nonsense", expect=2)
    assert answer.err.startswith("error: the cache has no entry nonsense")
    error = shell.iddm("cache", "clear", "../..", "--json", expect=2).json()["error"]
    assert error["code"] == 2
    assert listed(shell) == before


def test_an_entry_being_written_is_kept_with_a_warning(shell: Shell, filled: Path) -> None:
    put(filled / "archives" / f".partial-1-{'d' * 64}.tar")
    answer = shell.iddm("cache", "clear", "1-dddddddddd")
    assert "warning: 1-dddddddddd was not removed: another process is writing it" in answer.err
    found = shell.iddm("cache", "clear", "1-dddddddddd", "--json").json()
    assert found == {"removed": [], "in_use": ["1-dddddddddd"], "bytes": 0}


def test_hostile_names_are_printed_safely(shell: Shell, cache: Path) -> None:
    shell.env["COLUMNS"] = "400"  # so that no name is broken
    name = "a\x1b[2J[bold]\u202eb"
    make_pack(draw_folder(shell.folder / name, {"": 1}))
    folder = make_pack(draw_folder(shell.folder / "plain", {"": 2}))
    record = folder / "pack.json"
    place = str(shell.folder / "plain")
    hostile = record.read_text().replace(json.dumps(place), json.dumps("x\x1b]0;y\x07[red]\u202e"))
    record.write_text(hostile)
    put(cache / "datasets" / "d\x1b[1m\n[i]x")
    put(Path(os.fsdecode(os.fsencode(cache) + b"/archives/caf\xe9.tar")))
    for answer in (shell.iddm("cache"), shell.iddm("cache", "--json")):
        assert "\x1b" not in answer.out
        assert "\x07" not in answer.out
        assert "[bold]" in answer.out
        assert "[red]" in answer.out
    assert "\u202e" not in shell.iddm("cache").out
    assert len(listed(shell)) == 4
    assert "\x1b" not in shell.iddm("cache", "clear", "\x1b[2J", expect=2).err


def test_a_damaged_pack_is_listed_as_damaged(shell: Shell, filled: Path) -> None:
    (record,) = filled.glob("packs/*/pack.json")
    record.write_text("{")
    found = shell.iddm("cache", "--json").json()["entries"]
    (damaged,) = [entry for entry in found if entry["path"] == str(record.parent)]
    assert (damaged["kind"], damaged["pictures"]) == ("damaged", None)
    assert "damaged" in shell.iddm("cache").out
    shell.iddm("cache", "clear", damaged["key"])
    assert not record.parent.exists()


def test_forty_columns_are_enough(shell: Shell, filled: Path) -> None:
    shell.env |= {"COLUMNS": "40", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    assert "pets" in shell.iddm("cache").out.replace("\n", "").replace(" ", "")


def test_a_cache_that_is_not_a_folder(shell: Shell, cache: Path) -> None:
    cache.write_text("a file")
    assert "is empty" in shell.iddm("cache").err
    shell.env["IDDM_CACHE_DIR"] = "~nobody-of-that-name/x"
    assert "IDDM_CACHE_DIR" in shell.iddm("cache", expect=3).err


@pytest.mark.parametrize("words", [("cache",), ("cache", "clear"), ("cache", "clear", "x")])
def test_no_torch_is_needed(shell: Shell, filled: Path, words: tuple[str, ...]) -> None:
    assert not {"torch", "torchvision"} & shell.imported(*words)


def test_help(shell: Shell) -> None:
    for words in (("cache", "-h"), ("cache", "clear", "-h"), ("cache", "list", "-h")):
        assert "--json" in shell.iddm(*words).out
