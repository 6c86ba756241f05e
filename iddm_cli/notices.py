"""Notices: what any module has to tell the user once, such as what is weaker on this machine."""

from collections.abc import Callable

_given: set[str] = set()
_unread: list[str] = []
_listeners: list[Callable[[str], None]] = []


def listen(listener: Callable[[str], None]) -> None:
    """Send all later notices to this listener alone, and those that nobody has read yet."""
    _listeners[:] = [listener]
    unread, _unread[:] = list(_unread), []
    for text in unread:
        listener(text)


def notify_once(text: str) -> None:
    """Give a notice, unless this process has given the same one before.

    Args:
        text: Lower case, no full stop; what is weaker, and the setting that changes it.
    """
    if text in _given:
        return
    _given.add(text)
    if not _listeners:
        _unread.append(text)
    for listener in _listeners:
        listener(text)
