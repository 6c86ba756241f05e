"""The table of label sources: complete, and in order of precedence."""

from iddm_cli.data.sources.indexing.labels.label_sources import LABEL_SOURCES


def test_each_row_is_complete() -> None:
    names = [source.name for source in LABEL_SOURCES]
    assert len(set(names)) == len(names)
    assert all(source.summary.endswith(".") for source in LABEL_SOURCES)
