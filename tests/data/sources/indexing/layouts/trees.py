"""Trees of names, in which layouts are resolved without a file."""

from iddm_cli.data.sources.indexing.index import Index, build_index
from iddm_cli.data.sources.indexing.labels.labelling import DEFAULT_LABELS, LabelOptions
from iddm_cli.data.sources.indexing.listing import Listing

IMAGES = ("0.png", "1.png")


def list_names(text: str) -> list[str]:
    """Names of images: two in each folder of the text, or those after its colon."""
    names = []
    for part in text.split():
        folder, _, files = part.partition(":")
        prefix = f"{folder}/" if folder else ""
        names += [prefix + file for file in (files.split(",") if files else IMAGES)]
    return sorted(names)


def index_of(text: str, labels: LabelOptions = DEFAULT_LABELS, *, unwrap: bool = False) -> Index:
    paths = list_names(text)
    parents = {path[:end] for path in paths for end, letter in enumerate(path) if letter == "/"}
    return build_index(Listing(paths=paths, folders=parents), "set", labels, unwrap=unwrap)


def folders_used(found: Index) -> set[str]:
    return {path.rpartition("/")[0] for path in found.paths}
