"""Standard streams: after the first failure text is discarded, and the failure is reported once."""

import errno
import io

import pytest

from iddm_cli.display.streams import TERMINAL_SIZE, GuardedStream


class FullDisk(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_the_first_failure_is_reported_and_later_text_discarded():
    failures = []
    stream = GuardedStream(FullDisk(), failures.append)
    assert [stream.write("abc"), stream.write("de")] == [3, 2]
    stream.flush()
    assert [error.errno for error in failures] == [errno.ENOSPC]


@pytest.mark.parametrize(
    ("size", "plausible"), [("80", True), ("9999", True), ("0", False), ("-5", False), ("x", False)]
)
def test_only_plausible_terminal_sizes_are_kept(size, plausible):
    assert bool(TERMINAL_SIZE.fullmatch(size)) is plausible
