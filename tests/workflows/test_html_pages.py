"""Where a page may be written: nothing else is replaced."""

import pytest

from iddm_cli.errors import IddmError, UsageError
from iddm_cli.workflows.html_pages import check_page, write_page


def test_only_pages_are_written(tmp_path):
    for name in ("a.txt", "a", "runs/metrics.jsonl"):
        with pytest.raises(UsageError, match="not the name of a page"):
            check_page(tmp_path / name, overwrite=True)
    (tmp_path / "x.html").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        check_page(tmp_path / "x.html", overwrite=True)
    check_page(tmp_path / "new" / "a.HTM", overwrite=False)


def test_a_page_is_replaced_only_on_request(tmp_path):
    path = tmp_path / "new" / "x.html"
    write_page(path, "page")
    assert path.read_text() == "page"
    with pytest.raises(UsageError, match="exists"):
        check_page(path, overwrite=False)
    check_page(path, overwrite=True)


def test_a_page_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(IddmError, match="--out"):
        write_page(tmp_path / "file" / "x.html", "page")
