"""The table of label sources: where the class of an image may be written, besides its folder.

To add one, write its module and add its row to LABEL_SOURCES.
"""

from collections.abc import Callable
from dataclasses import dataclass

from iddm_cli.data.sources.indexing.labels.annotations import recognize_annotations
from iddm_cli.data.sources.indexing.labels.class_names import name_numbers
from iddm_cli.data.sources.indexing.labels.json_labels import find_json_labels
from iddm_cli.data.sources.indexing.labels.labelling import DEFAULT_COLUMN, Labelling, LabelScan
from iddm_cli.data.sources.indexing.labels.name_pattern import find_pattern_labels
from iddm_cli.data.sources.indexing.labels.tables.table_source import METADATA, find_table_labels
from iddm_cli.data.sources.indexing.labels.webdataset import find_sample_labels
from iddm_cli.errors import DatasetError


@dataclass(frozen=True, kw_only=True)
class LabelSource:
    """One way to write labels: all that the program knows about it."""

    name: str
    """Unique name."""

    summary: str
    """One sentence for documentation."""

    find: Callable[[LabelScan], Labelling]
    """`find(scan)` returns the labels, or a labelling without classes."""


LABEL_SOURCES: tuple[LabelSource, ...] = (
    LabelSource(
        name="pattern",
        summary="The first group of data.label_pattern in the name of each file.",
        find=find_pattern_labels,
    ),
    LabelSource(
        name="table",
        summary="A table with one row for each image, such as metadata.csv.",
        find=find_table_labels,
    ),
    LabelSource(
        name="json",
        summary="dataset.json of EDM and StyleGAN, or an object like it.",
        find=find_json_labels,
    ),
    LabelSource(
        name="samples",
        summary="A file beside each image, such as 000000.cls or 000000.json in webdataset.",
        find=find_sample_labels,
    ),
    LabelSource(
        name="annotations",
        summary="Boxes, outlines and captions: recognised, but no labels.",
        find=recognize_annotations,
    ),
)
"""In order of precedence; class folders come last."""


def find_labels(scan: LabelScan) -> Labelling:
    """Return the labels of the first source that has any, with the findings of those before it.

    Raises:
        DatasetError: A label file is damaged or contradicts itself, or a column is configured, and
            no source has it.
    """
    total = Labelling()
    for source in LABEL_SOURCES:
        found = source.find(scan)
        found.notes = total.notes + found.notes
        found.skipped = total.skipped | found.skipped
        found.used |= total.used
        found.failure = total.failure or found.failure
        if found.classes is not None:
            # The numbers in these stay numbers, as in runs of older versions.
            if not found.origin.lower().endswith(METADATA):
                name_numbers(scan, found)
            return found
        total = found
    if scan.options.column != DEFAULT_COLUMN:
        raise total.failure or DatasetError(
            f"data.label_column is {scan.options.column}, but there is no table of labels",
            "Put metadata.csv or metadata.jsonl beside the images, or remove the setting.",
        )
    return total
