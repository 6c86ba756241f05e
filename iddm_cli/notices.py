"""Notices: what any module has to tell the user once, such as what is weaker on this machine.

They are warnings of the logger "iddm_cli"; `display/console.py` prints them.
"""

import logging

logger = logging.getLogger("iddm_cli")
logger.addHandler(logging.NullHandler())

_given: set[str] = set()


def notify_once(text: str) -> None:
    """Give a notice, unless this process has given the same one before.

    Args:
        text: Lower case, no full stop; what is weaker, and the setting that changes it.
    """
    if text not in _given:
        _given.add(text)
        logger.warning("%s", text)
