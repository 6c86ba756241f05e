"""Label files of every kind, alike in a folder, a zip and a tar; hostile ones are refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iddm_cli.data.sources.indexing.index import build_index
from iddm_cli.data.sources.indexing.listing import Listing
from iddm_cli.errors import DatasetError
from tests.data.sources.indexing.labels.datasets import KINDS, build
from tests.hostile.zoo.labels import FLAT, LABELS, LabelSpecimen

from .conftest import check_refusal, fuzzed
from .test_dataset import CONTROLS

NAMES = st.sampled_from(
    ["metadata.csv", "labels.tsv", "x.csv", "metadata.jsonl", "dataset.json", "labels.json",
     "labels.txt", "0.cls", "0.json", "0.txt", "0.xml", "classes.txt", "a.xlsx"]
)  # fmt: skip
CELLS = st.sampled_from(
    ["file_name", "label", "0.png", "1", "cat", "\u732b", "\udcff", "\x1b[31m", "\\", "../x", "%41",
     ",", ";", "\t", '"', "'", "\n", "\r\n", "{", "}", "[", "]", ":", '"labels"', "null", "1e999",
     "NaN", "sep=;", "\0", "<annotation", "0 0.5 0.5 0.1 0.1"]
)  # fmt: skip
CONTENTS = st.binary(max_size=200) | st.lists(CELLS, max_size=40).map(
    lambda cells: "".join(cells).encode("utf-8", "surrogateescape")
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("specimen", LABELS.values(), ids=list(LABELS))
def test_a_label_file_gives_classes_or_says_why_not(
    tmp_path: Path, kind: str, specimen: LabelSpecimen
) -> None:
    files = dict.fromkeys(specimen.images, b"") | specimen.files
    if specimen.error:
        with pytest.raises(DatasetError) as caught:
            build(tmp_path, kind, files)
        assert specimen.error in f"{caught.value.problem} {caught.value.hint}"
        check_refusal(caught.value, code=3)
        return
    index = build(tmp_path, kind, files)
    assert index.classes == specimen.classes
    assert len(index.paths) == 4
    assert specimen.note in "; ".join(index.notes)


@fuzzed
@given(st.dictionaries(NAMES, CONTENTS, max_size=3))
def test_any_content_is_understood_or_refused(files: dict[str, bytes]) -> None:
    listing = Listing(paths=list(FLAT), read=files.__getitem__)
    for name in files:
        listing.add_file(name)
    try:
        index = build_index(listing, "set")
    except DatasetError as error:
        assert error.exit_code == 3
        printed = [error.problem, error.hint]
    else:
        assert set(index.paths) <= set(FLAT)
        printed = [*index.classes, *index.notes, *sum(index.skipped, ())]
    assert [text for text in printed if CONTROLS.search(text)] == []
    assert all(len(text) < 1500 for text in printed)
