"""Packages of extras: missing, broken, and installed since."""

import sys

import pytest

from iddm_cli.data.decoding.formats.left_out import FORMATS_WITH_EXTRAS, OTHER_KINDS
from iddm_cli.data.decoding.formats.packages import import_package, is_readable_now
from iddm_cli.data.decoding.images import UnreadableImageError

HEIC = FORMATS_WITH_EXTRAS["HEIC"]


def test_a_missing_package_is_told_by_the_kind_of_file(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnreadableImageError) as caught:
        import_package("pillow_heif", HEIC)
    assert str(caught.value) == "a HEIC photo: pip install 'iddm-cli[heif]'"


@pytest.mark.parametrize(
    "code", ["import nothing_like_it", "raise ImportError('libheif.so.1: cannot open')", "1 / 0"]
)
def test_a_package_that_cannot_be_imported_says_why(tmp_path, monkeypatch, code):
    (tmp_path / "broken_heif.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UnreadableImageError, match=r"^broken_heif is installed, but cannot"):
        import_package("broken_heif", HEIC)


def test_a_reason_is_out_of_date_once_the_package_is_there(monkeypatch):
    pytest.importorskip("pillow_heif")
    assert is_readable_now(HEIC.reason)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert not is_readable_now(HEIC.reason)
    assert not any(is_readable_now(kind.reason) for kind in OTHER_KINDS)
    assert not is_readable_now("damaged")
