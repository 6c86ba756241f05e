"""Which columns of a Parquet file hold the images and their classes.

Hugging Face datasets writes an image as {bytes, path}, a class as a number, and the names of the
classes into the schema, under the key "huggingface".
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iddm_cli.data.sources.indexing.labels.labelling import DEFAULT_COLUMN
from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_NAMES = ("image", "img", "images", "png", "jpg", "jpeg", "webp", "photo", "bytes")
LABEL_NAMES = (DEFAULT_COLUMN, "labels", "class", "cls", "category", "target", "class_name")
METADATA_KEY = b"huggingface"


@dataclass(frozen=True)
class ParquetColumns:
    """The columns that are read.

    Attributes:
        image: The column of the images.
        is_struct: Whether it holds {bytes, path}, and not the bytes alone.
        has_path: Whether such an image has a path.
        label: The column of the classes; None: there is none.
        class_names: The names of the classes, where the column holds their numbers.
        notes: What else could have been read, as sentences for the user.
    """

    image: str
    is_struct: bool
    has_path: bool
    label: str | None
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...] = ()


def choose_columns(schema: "pa.Schema", wanted: str, name: str) -> ParquetColumns:
    """Return the columns to read.

    Args:
        schema: The schema of the file.
        wanted: The setting data.label_column.
        name: Name of the file in messages.

    Raises:
        DatasetError: There is no column of images, or none of the wanted name.
    """
    import pyarrow as pa

    candidates = [field.name for field in schema if _holds_images(field.type)]
    if not candidates:
        found = ", ".join(f"{field.name} ({field.type})" for field in schema)[:300]
        raise DatasetError(
            f"{name} has no column of images; its columns are {to_printable(found)}",
            "A column of images holds the bytes of image files, or {bytes, path} as Hugging Face "
            "datasets writes them.",
        )
    image = _choose(candidates, IMAGE_NAMES)
    features = read_features(schema)
    label, notes = _choose_label(schema, features, wanted, name)
    kind = schema.field(image).type
    is_struct = pa.types.is_struct(kind)
    others = [f"columns of other images are not used: {', '.join(candidates)}"]
    return ParquetColumns(
        image=image,
        is_struct=is_struct,
        has_path=is_struct and kind.get_field_index("path") >= 0,
        label=label,
        class_names=_read_class_names(features, label),
        notes=tuple((others if len(candidates) > 1 else []) + notes),
    )


def read_features(schema: "pa.Schema") -> Mapping[str, object]:
    """Return the features that Hugging Face datasets has written into a schema; {} without."""
    content = (schema.metadata or {}).get(METADATA_KEY, b"{}")
    try:
        features = json.loads(content)["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _holds_images(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        at = kind.get_field_index("bytes")
        return at >= 0 and _is_binary(kind.field(at).type)
    return _is_binary(kind)


def _is_binary(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _choose(names: Sequence[str], usual: Sequence[str]) -> str:
    """Return the first usual name that is there, else the first name."""
    lower = {name.lower(): name for name in reversed(names)}
    return next((lower[name] for name in usual if name in lower), names[0])


def _choose_label(
    schema: "pa.Schema", features: Mapping[str, object], wanted: str, name: str
) -> tuple[str | None, list[str]]:
    possible = [field.name for field in schema if _holds_labels(field.type)]
    if wanted in possible:
        return wanted, []
    if wanted != DEFAULT_COLUMN:
        raise DatasetError(
            f"{name} has no column {to_printable(wanted)} of classes",
            f"Set data.label_column to one of: {to_printable(', '.join(possible)) or 'none'}.",
        )
    classes = [column for column in possible if _read_class_names(features, column)]
    usual = [column for column in possible if column.lower() in LABEL_NAMES]
    found = classes or usual
    if not found:
        return None, []
    chosen = _choose(found, LABEL_NAMES)
    others = [column for column in found if column != chosen]
    notes = [f"classes from the column {to_printable(chosen)}"]
    if others:
        notes[0] += f", not from {to_printable(', '.join(others))}; data.label_column chooses"
    return chosen, notes


def _holds_labels(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string)
    return bool(pa.types.is_boolean(kind) or any(test(kind) for test in tests))


def _read_class_names(features: Mapping[str, object], label: str | None) -> tuple[str, ...] | None:
    feature = features.get(label or "")
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return None
    names = feature.get("names")
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        return None
    printable = tuple(to_printable(one) for one in names)
    return printable if len(set(printable)) == len(printable) else None
