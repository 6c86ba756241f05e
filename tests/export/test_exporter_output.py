"""The exporters' own output: suppressed while they work, and as before afterwards."""

import logging
import warnings

import pytest

from iddm_cli.export.exporter_output import suppress_exporter_output


def test_warnings_are_suppressed_inside_and_errors_are_not(caplog, recwarn):
    log = logging.getLogger("torch.onnx")
    with suppress_exporter_output():
        log.warning("for developers")
        log.error("for everyone")
        warnings.warn("for developers", stacklevel=1)
    assert [record.message for record in caplog.records] == ["for everyone"]
    assert len(recwarn) == 0


def test_the_level_before_returns_also_after_an_error():
    before = logging.root.manager.disable
    with pytest.raises(ValueError, match="fails"), suppress_exporter_output():
        raise ValueError("fails")
    assert logging.root.manager.disable == before
