"""Notices: each is given once, to whoever listens, also a little later."""

from iddm_cli import notices


def test_a_notice_is_given_once(monkeypatch):
    for name, value in (("_given", set()), ("_unread", []), ("_listener", None)):
        monkeypatch.setattr(notices.board, name, value)
    first, second = [], []
    notices.notify_once("a 100%")
    notices.listen(first.append)
    for text in ("a 100%", "b"):
        notices.notify_once(text)
    assert first == ["a 100%", "b"]
    notices.listen(second.append)
    notices.notify_once("c")
    assert (first, second) == (["a 100%", "b"], ["c"])
