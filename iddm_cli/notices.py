"""Notices: what any module has to tell the user once, such as what is weaker on this machine."""

import threading
from collections.abc import Callable

Listener = Callable[[str], None]


class NoticeBoard:
    """The notices of this process, each given once; they may come from any thread."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._unread: list[str] = []
        self._listener: Listener | None = None
        self._mutex = threading.Lock()

    def listen(self, listener: Listener) -> None:
        """Send all later notices to this listener alone, and those that nobody has read yet."""
        with self._mutex:
            self._listener = listener
            unread, self._unread = self._unread, []
        for text in unread:
            listener(text)

    def notify_once(self, text: str, key: str | None = None) -> None:
        """Give a notice, unless the same one was given before.

        Args:
            text: Lower case, no full stop; what is weaker, and the setting that changes it.
            key: What makes a notice the same; None: its text.
        """
        with self._mutex:
            if self.is_given(key or text):
                return
            self._given.add(key or text)
            if self._listener is None:
                self._unread.append(text)
                return
            listener = self._listener
        listener(text)

    def is_given(self, key: str) -> bool:
        """Return whether a notice of this key was given before."""
        return key in self._given


board = NoticeBoard()
listen, notify_once = board.listen, board.notify_once
