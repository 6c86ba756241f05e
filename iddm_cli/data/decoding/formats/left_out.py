"""Files that could be images but are not used: each kind by its name, with what the user can do.

A skipped file carries its reason as text. The reasons of these kinds are fixed sentences, so that
reports can count each kind and say once what to do.
"""

import re
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from iddm_cli.data.decoding.formats.table import ARRAY_SUFFIX, IMAGE_FORMATS, IMAGE_SUFFIXES


@dataclass(frozen=True, kw_only=True)
class LeftOutKind:
    """One kind of file that is left out."""

    singular: str
    """What one such file is, without article."""

    plural: str = ""
    """Several of them; "" for the singular with an s."""

    remedy: str
    """What to do, completing "is left out: …"."""

    suffixes: tuple[str, ...] = ()
    """Ends of file names, in lower case; empty if the content alone decides."""

    signature: str = ""
    """Regular expression for the first bytes of a file, as in ImageFormat; "" for none."""

    packages: tuple[str, ...] = ()
    """Modules with which the file could be read."""

    @property
    def reason(self) -> str:
        """The reason that skipped files of this kind carry."""
        article = "an" if self.singular[0] in "aeiouAEIOU" or self.singular[:3] == "HDR" else "a"
        return f"{article} {self.singular}: {self.remedy}"

    def describe(self, count: int) -> str:
        """Return the sentence that reports some files of this kind."""
        if count == 1:
            return f"1 {self.singular} is left out: {self.remedy}"
        return f"{count:,} {self.plural or self.singular + 's'} are left out: {self.remedy}"


def _install(extra: str) -> str:
    return f"pip install 'iddm-cli[{extra}]'"


FORMATS_WITH_EXTRAS = {
    row.name: LeftOutKind(
        singular=f"{row.name} {row.noun}", remedy=_install(row.extra), packages=row.packages
    )
    for row in IMAGE_FORMATS
    if row.extra
}
"""The kinds of files that an extra is needed for, by the name of the format."""

TIFF_BANDS = LeftOutKind(
    singular="TIFF image with more channels or other numbers than a photo",
    plural="TIFF images with more channels or other numbers than photos",
    remedy=_install("science"),
    packages=("tifffile",),
)

DICOM_COMPRESSION = LeftOutKind(
    singular="DICOM image of a compression that needs imagecodecs",
    plural="DICOM images of a compression that needs imagecodecs",
    remedy=_install("science"),
    packages=("imagecodecs",),
)

OTHER_KINDS: tuple[LeftOutKind, ...] = (
    LeftOutKind(
        singular="camera raw photo",
        remedy="iddm does not read raw files; export them as TIFF or JPEG",
        suffixes=(
            *(".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".dng", ".orf"),
            *(".rw2", ".raf", ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".mrw", ".erf", ".kdc"),
        ),
        signature=r".{4}ftypcrx|FUJIFILMCCD-RAW|II\x1a\0\0\0HEAPCCDR|IIRO|IIU\0|FOVb",
    ),
    LeftOutKind(
        singular="video",
        remedy="extract the frames as images: ffmpeg -i VIDEO frames/%06d.png",
        suffixes=(
            *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg", ".flv"),
            *(".3gp", ".mts", ".m2ts", ".ogv"),
        ),
        signature=r".{4}ftyp(?:qt|iso|mp4|M4V|avc1|3g)|RIFF.{4}AVI |\x1aE\xdf\xa3|\0\0\x01\xba",
    ),
    LeftOutKind(
        singular="HDR image (EXR or Radiance)",
        plural="HDR images (EXR or Radiance)",
        remedy="convert them to floating-point TIFF: oiiotool IN.exr -o OUT.tif",
        suffixes=(".exr", ".hdr"),
        signature=r"\x76\x2f\x31\x01|#\?(?:RADIANCE|RGBE)",
    ),
    LeftOutKind(
        singular="layered image (Photoshop, GIMP and the like)",
        plural="layered images (Photoshop, GIMP and the like)",
        remedy="export them as PNG",
        suffixes=(".psd", ".psb", ".xcf", ".kra", ".clip", ".afphoto", ".procreate"),
        signature=r"8BPS|gimp xcf",
    ),
    LeftOutKind(
        singular="vector graphic",
        remedy="render them to PNG: inkscape --export-type=png FILE",
        suffixes=(".svg", ".svgz", ".eps", ".ai", ".wmf", ".emf"),
        signature=r"\s*(?i:<svg|<\?xml)",
    ),
    LeftOutKind(
        singular="PDF document",
        remedy="extract their pages as images: pdftoppm -png FILE PREFIX",
        suffixes=(".pdf",),
        signature=r"%PDF-",
    ),
    LeftOutKind(
        singular="image in a format that iddm does not read",
        plural="images in formats that iddm does not read",
        remedy="convert them to PNG: magick IN OUT.png",
        suffixes=(
            *(".tga", ".dds", ".ico", ".cur", ".icns", ".pcx", ".sgi", ".qoi", ".pam", ".xbm"),
            *(".xpm", ".fits", ".fit", ".fts", ".bpg", ".jxr", ".wdp", ".ktx", ".djvu"),
        ),
        signature=r"qoif|DDS |P7\n|SIMPLE  =|BPG\xfb|AT&TFORM|II\xbc",
    ),
    LeftOutKind(
        singular="medical volume (NIfTI and the like)",
        plural="medical volumes (NIfTI and the like)",
        remedy="save their slices as .npy arrays or TIFF",
        suffixes=(".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz"),
        signature=r"\x5c\x01\0\0.{340}n[+i]1\0|NRRD000",
    ),
    LeftOutKind(
        singular="file of many arrays",
        plural="files of many arrays",
        remedy="save each image as an array of its own: numpy.save('0001.npy', array)",
        suffixes=(
            *(".npz", ".h5", ".hdf5", ".mat", ".zarr", ".tfrecord", ".tfrecords", ".arrow"),
            *(".parquet", ".mdb", ".lmdb", ".pkl", ".pickle", ".pt", ".nc", ".idx3-ubyte"),
        ),
        signature=r"\x89HDF|MATLAB 5\.0|PAR1|ARROW1",
    ),
    LeftOutKind(
        singular="archive inside the dataset",
        plural="archives inside the dataset",
        remedy="unpack them, or set data.path to one of them",
        suffixes=(".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".gz"),
        signature=r"PK\x03\x04|7z\xbc\xaf|Rar!",
    ),
)
"""Kinds of files that are not read, in order of precedence."""

STRAY_ARRAYS = LeftOutKind(
    singular="NumPy array among images",
    plural="NumPy arrays among images",
    remedy="most files are images; to train on the arrays, put them into a folder of their own",
)

FAMILIES = {
    "annotations": (".xml", ".json", ".jsonl", ".yaml", ".yml"),
    "text": (".txt", ".md", ".log", ".rst", ".html", ".htm"),
    "tables": (".csv", ".tsv", ".xls", ".xlsx", ".ods"),
    "camera metadata": (".xmp", ".thm", ".aae", ".pp3", ".lrcat"),
    "audio": (".mp3", ".wav", ".m4a", ".flac", ".ogg"),
}
"""Files beside the images of many datasets, by what they hold."""

NOT_AN_IMAGE = "not an image"
SUFFIX = re.compile(r"\.[a-z][a-z0-9_-]{0,11}$")
"""What counts as the suffix of a file name; a number, as in 1.2.840.10008, does not."""

_BY_REASON = {
    kind.reason: kind
    for kind in (
        *FORMATS_WITH_EXTRAS.values(),
        *(TIFF_BANDS, DICOM_COMPRESSION, *OTHER_KINDS, STRAY_ARRAYS),
    )
}
_BY_SIGNATURE = tuple(
    (re.compile(kind.signature.encode("latin-1"), re.DOTALL), kind)
    for kind in OTHER_KINDS
    if kind.signature
)


def find_kind_by_content(start: bytes) -> LeftOutKind | None:
    """Return the kind of a file that cannot be read as an image, by its first bytes."""
    return next((kind for signature, kind in _BY_SIGNATURE if signature.match(start)), None)


def find_kind_by_reason(reason: str) -> LeftOutKind | None:
    """Return the kind whose files carry this reason."""
    return _BY_REASON.get(reason)


def explain_name(name: str) -> str:
    """Return the reason why the name of a file is not that of an image, in lower case."""
    kind = next((kind for kind in OTHER_KINDS if name.endswith(kind.suffixes or "\0")), None)
    if kind:
        return kind.reason
    found = SUFFIX.search(name)
    if not found:
        return f"{NOT_AN_IMAGE}, by its {'suffix' if '.' in name else 'first bytes'}"
    family = next((family for family, ends in FAMILIES.items() if found[0] in ends), "")
    return f"{NOT_AN_IMAGE}: {found[0]}" + (f" ({family})" if family else "")


def describe_left_out(skipped: Iterable[tuple[str, str]]) -> list[str]:
    """Return one sentence for each kind among skipped files, most files first."""
    counts = Counter(kind for _, reason in skipped if (kind := find_kind_by_reason(reason)))
    return [kind.describe(count) for kind, count in counts.most_common()]


def drop_left_out(skipped: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the skipped files that `describe_left_out` does not report."""
    return [(name, reason) for name, reason in skipped if not find_kind_by_reason(reason)]


def group_reasons(skipped: Iterable[tuple[str, str]], ends: str = ":;") -> dict[str, list[str]]:
    """Return the names of skipped files, grouped by a short form of their reasons.

    A file that is not an image is grouped by its suffix. The largest group comes first.

    Args:
        skipped: Names and reasons.
        ends: The letters at which a reason is cut.
    """
    groups: dict[str, list[str]] = {}
    for name, reason in skipped:
        words, _, rest = reason.partition(": ")
        label = rest if words == NOT_AN_IMAGE else re.split(f"[{ends}]", reason)[0]
        groups.setdefault(label, []).append(name)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))


def explain_dataset_file(name: str) -> str:
    """Return what to do about a file that was given as a dataset, but is not an archive."""
    lower = name.lower()
    kind = next((kind for kind in OTHER_KINDS if lower.endswith(kind.suffixes or "\0")), None)
    if lower.endswith((ARRAY_SUFFIX, ".npz")):
        array = "np.load(sys.argv[1])" + ("['arr_0']" if lower.endswith(".npz") else "")
        code = (
            "import os, sys, numpy as np; os.makedirs('images'); "
            f"[np.save(f'images/{{i:06}}.npy', x) for i, x in enumerate({array})]"
        )
        return (
            "Save each image as a file of its own, and set data.path to their folder: "
            f'python -c "{code}" {shlex.quote(name)}'
        )
    if kind:
        return f"Set data.path to a folder of images; this is {kind.reason}."
    if lower.endswith(IMAGE_SUFFIXES):
        return "Set data.path to the folder that the image is in."
    return "Set data.path to a folder of images, or to a .zip or .tar of one."
