"""Notices: each is given once, to whoever listens."""

from iddm_cli import notices


def test_a_notice_is_given_once(monkeypatch, caplog):
    monkeypatch.setattr(notices, "_given", set())
    for text in ("a 100%", "b", "a 100%"):
        notices.notify_once(text)
    assert [record.getMessage() for record in caplog.records] == ["a 100%", "b"]
