"""Annotation files that give an image no class: boxes, outlines and captions are recognised."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from iddm_cli.data.sources.indexing.labels.labelling import Labelling, LabelScan
from iddm_cli.errors import DatasetError

SAMPLES = 3
"""Files of each folder and suffix that are read to recognise the rest."""
END_BYTES = 2**16

_COCO = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')


@dataclass(frozen=True, kw_only=True)
class AnnotationFormat:
    """A format of annotations."""

    name: str
    suffix: str
    matches: Callable[[bytes], bool]
    """`matches(content)` returns whether a file has this format."""

    per_image: bool
    """Whether there is a file for each image, of its name."""


ANNOTATION_FORMATS = (
    AnnotationFormat(
        name="boxes in COCO format",
        suffix=".json",
        matches=lambda content: len({m[1] for m in _COCO.finditer(content)}) > 1,
        per_image=False,
    ),
    AnnotationFormat(
        name="outlines in LabelMe format",
        suffix=".json",
        matches=lambda content: b'"shapes"' in content and b'"imagePath"' in content,
        per_image=True,
    ),
    AnnotationFormat(
        name="boxes in VOC format",
        suffix=".xml",
        matches=lambda content: b"<annotation" in content and b"<object" in content,
        per_image=True,
    ),
    AnnotationFormat(
        name="boxes in YOLO format",
        suffix=".txt",
        matches=lambda content: _holds_numbers(content),
        per_image=True,
    ),
    AnnotationFormat(
        name="captions",
        suffix=".txt",
        matches=lambda content: bool(content.strip()),
        per_image=True,
    ),
)
"""In order of precedence."""


def recognize_annotations(scan: LabelScan) -> Labelling:
    """Return no labels, but what the other files beside the images are."""
    found = Labelling()
    stems = {_stem(path) for path in scan.all_paths}
    families: dict[tuple[str, str], list[str]] = {}
    for path in scan.files:
        folder, _, name = path.rpartition("/")
        families.setdefault((folder, name[name.rfind(".") :].lower()), []).append(path)
    counts: Counter[str] = Counter()
    for (_, suffix), files in families.items():
        paired = [path for path in files if _stem(path) in stems]
        for group, per_image in ((paired, True), (files, False)):
            formats = [f for f in ANNOTATION_FORMATS if f.per_image == per_image]
            known = _recognize(scan, group, [f for f in formats if f.suffix == suffix])
            if known:
                counts[known] += len(group)
                found.skipped |= dict.fromkeys(group, f"{known}, which give an image no class")
                break
    found.notes += [f"{name} are not used: {n:,} files" for name, n in counts.items()]
    return found


def _recognize(
    scan: LabelScan, files: list[str], formats: Iterable[AnnotationFormat]
) -> str | None:
    formats = list(formats)
    if not formats or not files:
        return None
    contents = [_read_ends(scan, path) for path in files[:SAMPLES]]
    contents = [content for content in contents if content.strip()] or contents
    for row in formats:
        if all(map(row.matches, contents)):
            return row.name
    return None


def _read_ends(scan: LabelScan, path: str) -> bytes:
    """Return the beginning and the end of a file; b"" if it cannot be read."""
    try:
        content = scan.read(path)
    except DatasetError:
        return b""
    return content if len(content) < 2 * END_BYTES else content[:END_BYTES] + content[-END_BYTES:]


def _holds_numbers(content: bytes) -> bool:
    """Return whether each line is a class and at least four coordinates."""
    lines = [line.split() for line in content.splitlines() if line.strip()]
    return bool(lines) and all(
        len(cells) > 4 and cells[0].isdigit() and all(map(_is_number, cells)) for cells in lines
    )


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _stem(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name
