"""Records in the cache: one file for one set of facts."""

from iddm_cli.data.cache_records import locate_record, save_record


def test_equal_facts_have_one_record_and_others_another(monkeypatch, tmp_path):
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    path = locate_record("room", [1, {"a": 2, "b": 3}])
    assert path.parent == tmp_path / "cache" / "room"
    assert path == locate_record("room", [1, {"b": 3, "a": 2}])
    others = (locate_record("room", [1, {"a": 2, "b": 4}]), locate_record("hall", [1, {"a": 2}]))
    assert path not in others
    save_record(path, b"found")
    assert path.read_bytes() == b"found"


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "room").write_text("a file")
    save_record(tmp_path / "room" / "record.json", b"found")
    assert (tmp_path / "room").read_text() == "a file"
