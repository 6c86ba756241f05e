"""The table of sources: complete rows, precedence, and unknown names."""

import subprocess
import sys
from pathlib import Path

import pytest

from iddm_cli.data.sources import registry
from iddm_cli.data.sources.demo import DemoSource
from iddm_cli.data.sources.registry import DATASET_SOURCES, DatasetSource, open_source
from iddm_cli.data.sources.source import Source
from iddm_cli.errors import DatasetError
from tests.data.sources.folders import make_folder

SIZE = (16, 24)


# --- the table -------------------------------------------------------------------------------


def test_every_row_is_complete() -> None:
    assert len({row.name for row in DATASET_SOURCES}) == len(DATASET_SOURCES)
    for row in DATASET_SOURCES:
        assert row.name.islower(), row.name
        assert row.summary[0].isupper(), row.name
        assert row.summary.endswith("."), row.name
        assert row.accepts, row.name
        assert callable(row.matches), row.name
        assert callable(row.open), row.name


def test_each_keyword_matches_its_row_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for row in DATASET_SOURCES:
        for keyword in row.keywords:
            assert [other for other in DATASET_SOURCES if other.matches(keyword)] == [row]


def test_the_error_for_an_unknown_name_lists_every_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError) as caught:
        open_source("nothing-like-it", size=SIZE)
    for row in DATASET_SOURCES:
        assert row.accepts in caught.value.hint
        assert all(keyword in caught.value.hint for keyword in row.keywords)


def test_a_row_is_all_that_a_new_source_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """open_source knows the table and nothing else: with no row it opens nothing."""
    monkeypatch.chdir(tmp_path)
    row = DatasetSource(
        name="test",
        summary="A dataset of this test.",
        accepts="words",
        keywords=("words",),
        matches=lambda path: path == "words",
        open=lambda _, options: DemoSource(options.size),
    )
    monkeypatch.setattr(registry, "DATASET_SOURCES", (row,))
    assert len(open_source("words", size=SIZE)) == 3000
    for path in ("demo", "cifar10", str(make_folder(tmp_path / "pets"))):
        with pytest.raises(DatasetError, match="no folder, archive or built-in dataset"):
            open_source(path, size=SIZE)


# --- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("cifar-10", "Did you mean cifar10?"),
        ("Demo", "Did you mean demo?"),
        ("fashionmnist", "Did you mean fashion-mnist?"),
        ("~nobody-of-that-name/x", "a folder of images"),
        ("a\0b", "a folder of images"),
        ("x" * 5000, "a folder of images"),
        ("", "."),
    ],
)
def test_unknown_names(
    path: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError) as caught:
        open_source(path, size=SIZE)
    assert hint in caught.value.hint
    assert caught.value.exit_code == 3
    assert caught.value.problem.isprintable()


def test_nothing_here_imports_torch() -> None:
    code = (
        "import sys, iddm_cli.data.sources.registry, iddm_cli.data.packs.builder;"
        "import iddm_cli.data.inspection.scan;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'torchvision')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_keep_the_contract(tmp_path: Path) -> None:
    sources: list[Source] = [
        open_source(str(make_folder(tmp_path / "pets")), size=SIZE),
        open_source("demo", size=SIZE),
    ]
    for source in sources:
        assert len(source.labels) == len(source)
        assert set(source.labels) <= set(range(len(source.classes) or 1))
