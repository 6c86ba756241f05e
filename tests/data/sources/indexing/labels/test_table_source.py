"""Tables as a label source: which one counts."""

from pathlib import Path

from iddm_cli.data.sources.indexing.index import index_folder
from tests.data.sources.indexing.folders import pairs, touch


def test_the_nearest_table_counts(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.png")
    (tmp_path / "metadata.csv").write_text("file_name,label\nimages/1.png,far\n")
    (tmp_path / "images/metadata.csv").write_text("file_name,label\n1.png,near\n")
    assert pairs(index_folder(tmp_path)) == {"images/1.png": "near"}
