"""Which columns of a Parquet file are read."""

import json

import pytest

pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")

from iddm_cli.data.sources.shards.parquet_columns import choose_columns  # noqa: E402
from iddm_cli.errors import DatasetError  # noqa: E402

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def schema(features: object = None, **columns: object) -> "pa.Schema":
    found = pa.schema(list(columns.items()))
    if features is None:
        return found
    return found.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def test_hugging_face() -> None:
    features = {"y": {"_type": "ClassLabel", "names": ["a", "b"]}, "x": {"_type": "Image"}}
    chosen = choose_columns(schema(features, x=IMAGE, y=pa.int64(), z=pa.int64()), "label", "f")
    assert (chosen.image, chosen.is_struct, chosen.has_path) == ("x", True, True)
    assert (chosen.label, chosen.class_names) == ("y", ("a", "b"))


def test_bytes_and_a_column_called_class() -> None:
    chosen = choose_columns(schema(png=pa.binary(), **{"class": pa.string()}), "label", "f")
    assert (chosen.image, chosen.is_struct, chosen.label) == ("png", False, "class")
    assert chosen.class_names is None


def test_the_setting_chooses_and_a_choice_is_reported() -> None:
    features = {key: {"_type": "ClassLabel", "names": ["a"]} for key in ("coarse", "fine")}
    both = schema(features, img=IMAGE, other=IMAGE, coarse=pa.int64(), fine=pa.int64())
    assert choose_columns(both, "fine", "f").label == "fine"
    first = choose_columns(both, "label", "f")
    assert (first.image, first.label) == ("img", "coarse")
    assert "not from fine" in "".join(first.notes)


def test_numbers_that_are_no_classes_are_no_labels() -> None:
    assert choose_columns(schema(image=IMAGE, width=pa.int64()), "label", "f").label is None
    assert choose_columns(schema(image=IMAGE, label=pa.float32()), "label", "f").label is None


def test_errors_name_the_columns() -> None:
    with pytest.raises(DatasetError, match=r"no column of images.*text \(string\)"):
        choose_columns(schema(text=pa.string()), "label", "f")
    with pytest.raises(DatasetError, match="no column kind") as caught:
        choose_columns(schema(image=IMAGE, fine=pa.int64()), "kind", "f")
    assert "fine" in caught.value.hint


def test_broken_metadata_counts_as_none() -> None:
    broken = schema(image=IMAGE, label=pa.int64()).with_metadata({"huggingface": "{"})
    assert choose_columns(broken, "label", "f").class_names is None
