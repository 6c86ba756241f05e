"""Slices of a source: consecutive images, with names, labels and progress of the whole."""

from pathlib import Path

import pytest

from iddm_cli.data.packs.slices import slice_source
from iddm_cli.data.packs.slices.slice_source import cut_slices
from iddm_cli.data.sources.registry import open_source


def test_slices_follow_each_other(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slice_source, "SLICE_BYTES", 100)
    source = open_source(str(pets), size=(8, 8))
    slices = cut_slices(source, "f", 3)
    assert [(part.start, len(part)) for part in slices] == [(0, 33), (33, 33), (66, 14)]
    assert [label for part in slices for label in part.labels] == list(source.labels)
    names = [part.item_name(i) for part in slices for i in range(len(part))]
    assert names == [source.item_name(i) for i in range(80)]
    assert len({part.fingerprint() for part in slices}) == 3
    reports: list[tuple[str, int, int]] = []
    progress = slices[1].shift_progress(lambda *report: reports.append(report))
    progress("reading images", 5, 33)
    progress("waiting", 0, 1)
    assert reports == [("reading images", 38, 80), ("waiting", 0, 1)]
