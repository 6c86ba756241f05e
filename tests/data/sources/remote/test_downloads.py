"""Downloads: whole or not there, continued where they stopped, fetched again where they changed."""

from pathlib import Path

import pytest

from iddm_cli.data.cache import list_entries
from iddm_cli.data.sources.remote import downloads
from iddm_cli.data.sources.remote.downloads import fetch_files
from iddm_cli.data.sources.remote.filesystems import RemoteFacts, open_place
from iddm_cli.data.sources.remote.retries import RetryPolicy
from iddm_cli.errors import DatasetError
from tests.data.sources.remote.web_server import FaultyServer, serve

pytest.importorskip("fsspec", reason="the extra remote is not installed")
pytest.importorskip("aiohttp", reason="the extra remote is not installed")

AT_ONCE = RetryPolicy(tries=60, first_delay=0, longest_delay=0, silence=0.3)
CONTENT = bytes(range(256)) * 8192
"""More than what the client receives ahead of what it reads, and loses with a connection."""


def fetch(server: FaultyServer, policy: RetryPolicy = AT_ONCE, name: str = "a.bin") -> Path:
    place = open_place(server.url, policy.silence)
    facts = RemoteFacts.from_info(place.files.info(f"{server.url}/{name}"))
    return fetch_files(place, server.url, {name: facts}, policy) / name


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_download_survives_every_fault(knows_ranges: bool) -> None:
    faults = ["", "503", "cut", "stall", "503", "cut"]
    with serve({"/a.bin": CONTENT}, faults, knows_ranges=knows_ranges) as server:
        assert fetch(server).read_bytes() == CONTENT
        assert not server.faults
        ranges = [range_ for method, _, range_ in server.requests if method == "GET"]
        starts = [int(range_.removeprefix("bytes=").partition("-")[0] or 0) for range_ in ranges]
        # A server that knows no ranges begins again, and may be cut off earlier than before.
        assert starts == sorted(starts) or not knows_ranges, "nothing is asked for twice"
        assert starts[0] == 0 < max(starts), "it asks for the rest"


def test_progress_counts_the_files_that_are_there() -> None:
    calls: list[tuple[str, int, int]] = []
    with serve({"/a.bin": CONTENT, "/b.bin": CONTENT}, []) as server:
        place = open_place(server.url, AT_ONCE.silence)
        info = place.files.info
        files = {
            name: RemoteFacts.from_info(info(f"{server.url}/{name}")) for name in ("a.bin", "b.bin")
        }
        fetch(server)
        fetch_files(place, server.url, files, AT_ONCE, lambda *call: calls.append(call))
    assert [call[1:] for call in calls] == [(1, 2), (2, 2)]


def test_what_is_there_is_not_fetched_again_until_it_changes() -> None:
    with serve({"/a.bin": CONTENT}) as server:
        first = fetch(server)
        again = fetch(server)
        assert first == again
        assert server.sent == len(CONTENT)
        server.files["/a.bin"] = CONTENT[::-1]
        assert fetch(server).read_bytes() == CONTENT[::-1]


def test_a_file_that_changed_after_half_of_it_came_is_not_mixed() -> None:
    class Changing(FaultyServer):
        def next_fault(self, method: str, path: str, range_: str):  # type: ignore[override]
            if range_:
                self.files["/a.bin"] = CONTENT[::-1]
            return super().next_fault(method, path, range_)

    with serve({"/a.bin": CONTENT}, ["", "cut"]) as server:
        server.__class__ = Changing
        assert fetch(server).read_bytes() == CONTENT[::-1]


def test_a_later_process_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve({"/a.bin": CONTENT}, ["", "cut"]) as server:
        once = RetryPolicy(tries=1, first_delay=0, silence=0.3)
        with pytest.raises(DatasetError, match=r"/a\.bin cannot be read") as caught:
            fetch(server, once)
        assert "the same command continues there" in caught.value.hint
        assert fetch(server).read_bytes() == CONTENT
        assert server.sent < 1.4 * len(CONTENT)


def test_refused_and_missing_files_are_not_tried_again() -> None:
    with serve({"/a.bin": CONTENT}, ["", "403"]) as server:
        with pytest.raises(DatasetError, match="the server answers 403"):
            fetch(server)
        assert len(server.requests) == 2


def test_a_full_disk_is_said_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "free_bytes", lambda _: 1000)
    with serve({"/a.bin": CONTENT}) as server, pytest.raises(DatasetError, match="are free in"):
        fetch(server)
    assert server.sent == 0


def test_the_cache_lists_a_download_by_its_place() -> None:
    with serve({"/a.bin": CONTENT}) as server:
        fetch(server)
        (entry,) = list_entries()
    assert entry.kind == "download"
    assert entry.key.startswith("http-127.0.0.1")
