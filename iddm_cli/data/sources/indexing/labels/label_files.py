"""Label files: which files beside the images may hold labels, by their names."""

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl")
WORKBOOK_SUFFIXES = (".xlsx", ".xls", ".ods")
LABEL_SUFFIXES = (*TABLE_SUFFIXES, *WORKBOOK_SUFFIXES, ".json", ".cls", ".txt", ".xml")


def is_label_file(name: str) -> bool:
    """Return whether a file may hold labels, by the suffix of its name."""
    return name.lower().endswith(LABEL_SUFFIXES)
