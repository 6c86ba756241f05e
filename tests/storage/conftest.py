"""Shared by the tests of storage: what was reported as missing."""

import pytest

from iddm_cli.storage import features
from iddm_cli.storage.features import FEATURES, MissingFeatures


class Reports:
    """The features that were reported as missing."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self) -> list[str]:
        return [name for text in self.texts for name, clause in FEATURES.items() if clause in text]


@pytest.fixture
def reported(monkeypatch) -> Reports:
    reports = Reports()
    monkeypatch.setattr(features, "missing", MissingFeatures())
    features.missing.listen(reports.texts.append)
    return reports
