"""Metadata tables: labels are used, gaps are reported, and mistakes are errors."""

import json
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.data.sources.indexing.index import Index, index_folder
from iddm_cli.data.sources.indexing.labels.label_sources import find_labels
from iddm_cli.data.sources.indexing.labels.labelling import LabelOptions, LabelScan
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings
from tests.data.sources.indexing.folders import pairs, touch


def csv_of(*rows: str) -> bytes:
    return "\n".join(("file_name,label", *rows, "")).encode()


def jsonl_of(*rows: object) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


IMAGES = ("a.png", "b.png", "0.png", "1.png", "2.png", "a\u2028b\x0c.png")


def read(content: bytes, column: str = "label", name: str = "metadata.csv") -> object:
    """Return the classes that a table beside some images gives, or why it gives none."""
    scan = LabelScan(
        base="",
        paths=IMAGES,
        all_paths=IMAGES,
        files=[name],
        read=lambda _: content,
        options=LabelOptions(column),
        has_class_folders=False,
    )
    found = find_labels(scan)
    return found.skipped[name] if found.classes is None else found.classes


def failure(content: bytes, column: str = "label", name: str = "metadata.csv") -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        read(content, column, name)
    assert caught.value.exit_code == 3
    assert caught.value.hint
    return caught.value


def found(root: Path, table: bytes, name: str = "metadata.csv", column: str = "label") -> Index:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(table)
    return index_folder(root, LabelOptions(column))


# --- what a table says ------------------------------------------------------------------------


def test_csv(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "deep/er/b.png", "c.png")
    index = found(tmp_path, csv_of("c.png,dog", "a.png,cat", "deep/er/b.png,dog"))
    assert index.layout == "labels"
    assert pairs(index) == {"a.png": "cat", "c.png": "dog", "deep/er/b.png": "dog"}
    assert (index.classes, index.skipped) == (("cat", "dog"), [])
    assert index.notes == ["classes from metadata.csv"]


def test_jsonl_says_the_same(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    rows = {"file_name": "b.png", "label": "cat"}, {"label": "dog", "file_name": "a.png"}
    index = found(tmp_path, jsonl_of(*rows), "metadata.jsonl")
    assert pairs(index) == {"a.png": "dog", "b.png": "cat"}


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbffile_name,label\na.png,cat\nb.png,dog\n",
        b"file_name,label\r\na.png,cat\r\nb.png,dog\r\n",
        b"file_name,label\ra.png,cat\rb.png,dog",
        b"\n\nfile_name,label\n\na.png,cat\n\n\nb.png,dog",
        b'"file_name", "label"\n"a.png", "cat"\nb.png, dog\n',
        b'label,file_name,text\ncat,a.png,"one, two"\ndog,b.png,"three\nfour ""five"""\n',
        b"file_name,label\na.png,cat,\nb.png,dog,,\n",
        b"file_name,label\n./a.png,cat\nx/../b.png,dog\n,lost\n",
        b"file_name,label\na.png,cat\nb.png,dog\na.png,cat\nb.png,\n",
    ],
)
def test_ways_to_write_one_table(content: bytes) -> None:
    assert read(content) == {"a.png": "cat", "b.png": "dog"}


@pytest.mark.parametrize(
    "content",
    [
        b'\xef\xbb\xbf{"file_name": "a.png", "label": "cat"}\n{"file_name": "b.png", "label": 1}',
        b'{"file_name": "a.png", "label": "cat"}\r\n \r\n{"file_name": "b.png", "label": 1}\r\n',
    ],
)
def test_ways_to_write_one_json_table(content: bytes) -> None:
    for name in ("metadata.jsonl", "Metadata.JSONL"):
        assert read(content, name=name) == {"a.png": "cat", "b.png": "1"}


def test_line_separators_inside_a_text_end_no_line() -> None:
    row = {"file_name": "a.png", "label": "cat", "text": "one\u2028two\x85three\x0bfour"}
    content = json.dumps(row, ensure_ascii=False).replace("\\u000b", "\x0c").encode()
    content = content.replace(b"\x0c", b" ")
    assert read(content, name="metadata.jsonl") == {"a.png": "cat"}
    quoted = 'file_name,label\n"a\u2028b\x0c.png",cat\n'.encode()
    assert read(quoted) == {"a\u2028b\x0c.png": "cat"}


def test_labels_follow_the_order_of_numbers(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i:02d}.png" for i in range(12)))
    index = found(tmp_path, csv_of(*(f"{i:02d}.png,{i}" for i in range(12))))
    assert index.classes == tuple(str(i) for i in range(12))
    assert index.labels == tuple(range(12))


def test_classes_of_booleans_in_either_kind(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    rows = {"file_name": "a.png", "label": True}, {"file_name": "b.png", "label": False}
    assert found(tmp_path, jsonl_of(*rows), "metadata.jsonl").classes == ("false", "true")


# --- what is not there ------------------------------------------------------------------------


def test_what_table_and_folder_do_not_share_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "c.png", "d.png")
    rows = ["a.png,cat", "gone.png,dog", "b.png,", "x/a.png,dog", "c.png"]
    index = found(tmp_path, csv_of(*rows))
    assert pairs(index) == {"a.png": "cat"}
    assert index.classes == ("cat",)
    assert index.skipped == [
        ("b.png", "without a class"),
        ("c.png", "without a class"),
        ("d.png", "not in metadata.csv"),
        ("gone.png", "listed in metadata.csv, but missing"),
        ("x/a.png", "listed in metadata.csv, but missing"),
    ]


def test_a_table_never_leads_out_of_the_folder(tmp_path: Path) -> None:
    touch(tmp_path, "escape.png", "set/a.png")
    outside = ["../escape.png", "x/../../escape.png", str(tmp_path / "escape.png"), "//etc/x.png"]
    index = found(tmp_path / "set", csv_of("a.png,cat", *(f"{path},dog" for path in outside)))
    assert pairs(index) == {"a.png": "cat"}
    assert len(index.skipped) == len({"../escape.png", *outside}) - 1
    assert {reason for _, reason in index.skipped} == {"listed in metadata.csv, but missing"}


def test_hostile_file_names_are_told_in_plain_letters(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    rows = [{"file_name": "a.png", "label": 1}, {"file_name": "\x1b[2J\ud800\0", "label": 2}]
    rows += [{"file_name": name, "label": 3} for name in (None, 5, ["a.png"], {}, "", True)]
    index = found(tmp_path, jsonl_of(*rows), "metadata.jsonl")
    assert [name for name, _ in index.skipped] == ["5", r"\x1b[2J\x00\x00"]


def test_nothing_in_common(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    with pytest.raises(DatasetError, match=r"metadata\.csv assigns a class to none of the images"):
        found(tmp_path, csv_of("b.png,cat"))


def test_a_class_that_is_listed_only_for_absent_files_is_none(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    assert found(tmp_path, csv_of("a.png,cat", "b.png,dog")).classes == ("cat",)


# --- columns ----------------------------------------------------------------------------------


def test_the_column_may_be_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    table = b"file_name,label,Art\na.png,x,cat\nb.png,x,dog\n"
    assert pairs(found(tmp_path, table, column="Art")) == {"a.png": "cat", "b.png": "dog"}
    assert found(tmp_path, table).classes == ("x",)


def test_a_column_named_wrong_is_an_error() -> None:
    table = b"file_name,species,size\na.png,cat,1\n"
    error = failure(table, "specis")
    assert error.problem == "metadata.csv has no column specis (data.label_column)"
    assert error.hint == "Did you mean species? The columns are: file_name, species, size."
    rows = {"file_name": "a.png", "x\x1b": 1}, {"file_name": "b.png", "y": 2}
    error = failure(jsonl_of(*rows), "z", "metadata.jsonl")
    assert error.hint == r"The columns are: file_name, x\x1b, y."


def test_of_many_columns_some_are_reported() -> None:
    row = {"file_name": "a.png", **{f"column{i}": i for i in range(5000)}}
    assert len(failure(jsonl_of(row), "z", "metadata.jsonl").hint) < 1000
    reason = read(jsonl_of(row), name="metadata.jsonl")
    assert isinstance(reason, str)
    assert len(reason) < 1000


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (
            b"file_name,text,text2\ncat/1.png,hello,x\n",
            "has no column label; data.label_column can name another: text, text2",
        ),
        (
            b"file_name\ncat/1.png\n",
            "has no column label; data.label_column can name another: none",
        ),
        (b"a,b\nx,y\n", "not a table of labels: it has no column file_name, but a, b"),
        (b"", "not a table of labels: it has no rows"),
        (b"\xef\xbb\xbf", "not a table of labels: it has no rows"),
        (b"\n \n", "not a table of labels: it has no rows"),
        (b"file_name,label\n", "not a table of labels: it has no rows"),
    ],
)
def test_a_table_without_labels_leaves_the_folders_to_say(
    tmp_path: Path, table: bytes, reason: str
) -> None:
    touch(tmp_path, "cat/1.png", "dog/1.png")
    index = found(tmp_path, table)
    assert (index.layout, index.classes) == ("classes", ("cat", "dog"))
    ((name, told),) = index.skipped
    assert name == "metadata.csv"
    assert told.startswith(reason)
    failure(table, "species")


# --- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (b'file_name,label\na.png,cat\n"b.png,dog\nc.png,cow\n', "line 3: "),
        (b'file_name,label\n"a"x.png,cat\n', "line 2: "),
        (b'file_name,label\n"a\nb.png",x\n"c"d,y\n', "line 4: "),
        (b"file_name,label\na.png,cat\nb.png," + b"x" * 200_000, "line 3: field larger than"),
        (b"file_name,label\na.png,cat,dog\n", "line 2 has more cells than the first line"),
        (b"file_name,label\na.png,\xff\x81\x00\n", "its encoding is not known: save it as UTF-8"),
        (b"\xff\xfea\x00\x00\xd8a\x00", "it is not utf-16"),
        (b"PK\x03\x04...", "it is a workbook of a spreadsheet program, not text: save it as CSV"),
    ],
)
def test_a_damaged_csv(table: bytes, reason: str) -> None:
    error = failure(table)
    assert error.problem.startswith(f"metadata.csv cannot be read: {reason}")
    assert len(error.problem) < 200


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{not json", "line 3 is not JSON: Expecting property name"),
        (b'{"file_name": "b.png", "label": "x"', "line 3 is not JSON: "),
        (b'["a.png", "cat"]', "line 3 is not an object"),
        (b"null", "line 3 is not an object"),
        (b'"a.png"', "line 3 is not an object"),
        (b"[" * 200_000, "line 3 is not JSON: "),
        (b"9" * 5000, "line 3 is not JSON: "),
        (b'{"file_name": "\xff\x81\x00"}', "its encoding is not known"),
    ],
)
def test_a_damaged_jsonl(line: bytes, reason: str) -> None:
    content = jsonl_of({"file_name": "a.png", "label": 1}) + b"\n" + line + b"\n"
    error = failure(content, name="metadata.jsonl")
    assert error.problem.startswith(f"metadata.jsonl cannot be read: {reason}")
    assert len(error.problem) < 250


def test_rows_that_contradict_each_other() -> None:
    error = failure(csv_of("a.png,cat", "b.png,cat", "./a.png,dog"))
    assert error.problem == "metadata.csv lists a.png twice, as cat and as dog"
    assert read(csv_of("a.png,", "a.png,dog", "a.png,")) == {"a.png": "dog"}


def test_other_columns_may_hold_anything() -> None:
    rows = ({"file_name": f"{i}.png", "label": i % 2, "box": {"x": [i]}} for i in range(3))
    assert len(dict(read(jsonl_of(*rows), name="metadata.jsonl"))) == 3  # type: ignore[call-overload]
    table = 'file_name,label,text\na.png,cat,"' + "long " * 20_000 + '"\n'
    assert read(table.encode()) == {"a.png": "cat"}


def test_a_long_table_is_read_row_by_row() -> None:
    """What it holds beside files and classes is not kept."""
    table = csv_of(*["a.png,cat"] * 30_000)
    tracemalloc.start()
    try:
        assert read(table) == {"a.png": "cat"}
        assert tracemalloc.get_traced_memory()[1] < len(table)
    finally:
        tracemalloc.stop()


# --- where a table stands ---------------------------------------------------------------------


def test_a_table_in_the_training_part_of_a_split(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.png", "train/b.png", "val/a.png")
    (tmp_path / "val/metadata.csv").write_bytes(csv_of("a.png,other"))
    index = found(tmp_path, csv_of("a.png,cat", "b.png,dog"), "train/metadata.csv")
    assert pairs(index) == {"train/a.png": "cat", "train/b.png": "dog"}
    assert "val/a.png" in dict(index.skipped)
    assert index.notes[-1] == "classes from train/metadata.csv"


def test_a_table_elsewhere_says_nothing(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "dog/1.png")
    index = found(tmp_path, csv_of("1.png,cow"), "cat/metadata.csv")
    assert pairs(index) == {"cat/1.png": "cat", "dog/1.png": "dog"}
    assert index.skipped == [
        ("cat/metadata.csv", "a table of labels, but not beside the images used")
    ]


def test_labels_reach_the_pack_and_change_its_digest(tmp_path: Path) -> None:
    settings = DataSettings(image_size=2, channels=3, workers=1, held_out=0)
    made = []
    for last in ("cat", "dog", "cow"):
        for i in range(3):
            Image.new("RGB", (2, 2), (i, 0, 0)).save(tmp_path / f"{i}.png")
        table = csv_of("0.png,dog", "1.png,cat", f"2.png,{last}")
        (tmp_path / "metadata.csv").write_bytes(table)
        made.append(build_pack(FolderSource(tmp_path), settings))
    assert [m.classes for m in made] == [("cat", "dog"), ("cat", "dog"), ("cat", "cow", "dog")]
    assert [m.labels.tolist() for m in made] == [[1, 0, 0], [1, 0, 1], [2, 0, 1]]
    assert len({m.digest for m in made}) == 3
    assert len({m.record.pixels for m in made}) == 1
