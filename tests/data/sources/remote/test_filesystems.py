"""Remote file systems: what is final, what a message says, and which package is missing."""

import pytest

from iddm_cli.data.sources.remote.filesystems import (
    RemoteFacts,
    describe_failure,
    find_status,
    is_final,
    open_place,
)
from iddm_cli.errors import DatasetError, UsageError

pytest.importorskip("fsspec", reason="the extra remote is not installed")


class StatusError(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


class BotoError(Exception):
    def __init__(self) -> None:
        self.response = {"ResponseMetadata": {"HTTPStatusCode": 403}}


def caused(error: Exception) -> FileNotFoundError:
    missing = FileNotFoundError("x")
    missing.__cause__ = error
    return missing


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (FileNotFoundError("x"), True),
        (caused(StatusError(404)), True),
        (caused(StatusError(503)), False),
        (caused(TimeoutError()), False),
        (PermissionError("x"), True),
        (StatusError(429), False),
        (BotoError(), True),
        (ConnectionResetError(), False),
    ],
)
def test_what_is_final(error: Exception, final: bool) -> None:
    assert is_final(error) is final


def test_messages() -> None:
    assert find_status(BotoError()) == 403
    assert describe_failure(caused(StatusError(503))) == "the server answers 503"
    assert describe_failure(TimeoutError()) == "the server is silent"
    assert describe_failure(FileNotFoundError("x")) == "it does not exist"


def test_facts_come_under_many_names() -> None:
    assert RemoteFacts.from_info({"size": 3, "ETag": '"a"'}) == RemoteFacts(3, '"a"')
    assert RemoteFacts.from_info({"LastModified": 5}) == RemoteFacts(None, "5")
    assert RemoteFacts.from_info({}) == RemoteFacts(None, "")


def test_unknown_protocols_and_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetError, match="nothing://x"):
        open_place("nothing://x", 1.0)
    monkeypatch.setattr("iddm_cli.extras.find_spec", lambda _: None)
    with pytest.raises(UsageError) as caught:
        open_place("memory://x", 1.0)
    assert "pip install 'iddm-cli[remote]'" in caught.value.hint
