"""What a folder of generated images holds already: whose images they are, and which are whole.

An image is a function of its settings, seed, class and index, and its file appears completely or
not at all. So a generation that was cut off is continued by its own command, and several processes
can share one: each generates what is missing of its share.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy import ndarray

from iddm_cli import durable
from iddm_cli.data.decoding.images import UnreadableImageError, decode_image_file
from iddm_cli.data.decoding.preprocess import PixelSpec, PreparedImage, prepare_image
from iddm_cli.data.progress import ProgressCallback
from iddm_cli.data.sources.folder import FileImage
from iddm_cli.errors import UsageError
from iddm_cli.workflows.generating.image_plan import PlannedImage
from iddm_cli.workflows.generating.output.output_layout import MANIFEST, OutputLayout

MAX_MANIFEST_BYTES = 2**28

LISTS = frozenset(
    {"classes", "count", "start", "indices", "images", "from", "mask", "trajectories"}
)
"""Keys of a manifest that say which images there are. All others change the images themselves."""

PNG_END = b"IEND\xaeB`\x82"
"""The last chunk of a PNG; decoders are content if the pixels before it are there."""

Problem = Literal["", "missing", "damaged"]


def read_manifest(folder: Path) -> dict[str, object] | None:
    """Return the manifest of a folder; None where there is none.

    Raises:
        UsageError: It is damaged.
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            manifest = json.loads(file.read(MAX_MANIFEST_BYTES))
        if isinstance(manifest, dict) and _are_texts(manifest.get("images")):
            return manifest
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError):
        pass
    raise UsageError(f"{path} is damaged", "Choose a new folder, or --overwrite.")


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def check_same_generation(
    folder: Path, before: Mapping[str, object], now: dict[str, object]
) -> None:
    """Check that a folder's images are among those that are generated now.

    Args:
        folder: The folder.
        before: Its manifest.
        now: The manifest of what is generated now.

    Raises:
        UsageError: Other settings made them, or some are not generated now.
    """
    keys = [key for key in dict.fromkeys([*now, *before]) if key not in LISTS]
    differences = [
        f"{key} {_show(before.get(key))}, not {_show(now.get(key))}"
        for key in keys
        if before.get(key) != now.get(key)
    ]
    if differences:
        raise UsageError(
            f"--out {folder} holds images that were generated otherwise: {'; '.join(differences)}",
            "Choose a new folder, or --overwrite to replace files of the same names.",
        )
    images, wanted = before["images"], now["images"]
    assert isinstance(images, list) and isinstance(wanted, list), "they are lists of paths"
    others = len(set(images).difference(wanted))
    if others:
        raise UsageError(
            f"--out {folder} also holds {others:,} images that this command does not generate",
            f"Choose a new folder, or the options of the whole: see {folder / MANIFEST}.",
        )


def _show(value: object) -> str:
    return "absent" if value is None else str(value)


def adopt_folder(folder: Path, manifest: dict[str, object], *, overwrite: bool) -> None:
    """Write the manifest before any image, so that other processes can see whose folder it is.

    Args:
        folder: The folder.
        manifest: The manifest of what is generated.
        overwrite: Whether the folder may hold other images.

    Raises:
        UsageError: The folder holds other images.
        OSError: It cannot be written to.
    """
    before = None if overwrite else read_manifest(folder)
    if before is not None:
        check_same_generation(folder, before, manifest)
    if before != manifest:
        content = json.dumps(manifest, indent=1, ensure_ascii=False).encode()
        durable.write_file(folder / MANIFEST, content)


def find_problem(path: Path) -> Problem:
    """Return what prevents an image from being used: "" for nothing, missing or damaged.

    The whole file is decoded: a power cut may leave a file with its name and length, but without
    its content.
    """
    if not path.exists():
        return "missing"
    try:
        decode_image_file(path)
        is_whole = path.suffix != ".png" or path.read_bytes().endswith(PNG_END)
    except (UnreadableImageError, OSError):
        is_whole = False
    return "" if is_whole else "damaged"


def list_files(folders: Iterable[Path]) -> set[Path]:
    """Return the paths of all files in some folders, without opening them."""
    found: set[Path] = set()
    for folder in folders:
        try:
            found.update(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found


def count_missing(layout: OutputLayout, images: Sequence[PlannedImage]) -> int:
    """Return how many images have no file."""
    paths = [layout.planned_path(image) for image in images]
    existing = list_files(dict.fromkeys(path.parent for path in paths))
    return sum(path not in existing for path in paths)


@dataclass(frozen=True)
class MissingImages:
    """What is left to generate of some batches.

    Attributes:
        batches: The batches with at least one image that is missing or damaged.
        wanted: The files that are to be written.
    """

    batches: list[Sequence[PlannedImage]]
    wanted: frozenset[Path]


def find_missing(
    layout: OutputLayout,
    batches: Sequence[Sequence[PlannedImage]],
    companions: Mapping[Path, Sequence[Path]],
    progress: ProgressCallback,
) -> MissingImages:
    """Return what is left to generate of some batches.

    Args:
        layout: The folder.
        batches: The batches.
        companions: Further files that are written along with an image, by its path.
        progress: Called while existing files are decoded.
    """
    paths = {layout.planned_path(image) for batch in batches for image in batch}
    existing = paths & list_files(dict.fromkeys(path.parent for path in paths))
    wanted = paths - existing
    for done, path in enumerate(sorted(existing), start=1):
        if find_problem(path) or not all(other.exists() for other in companions.get(path, ())):
            wanted.add(path)
        progress("checking images", done, len(existing))
    left = [b for b in batches if any(layout.planned_path(image) in wanted for image in b)]
    return MissingImages(left, frozenset(wanted))


def read_pixels(path: Path, spec: PixelSpec) -> ndarray | None:
    """Return the pixels of an image that was written earlier, [H, W, C]; None if it is damaged.

    Args:
        path: The file.
        spec: The pixels that the model was trained on.
    """
    image = prepare_image(spec, FileImage(str(path.parent), path.name))
    if not isinstance(image, PreparedImage):
        return None
    planes = np.frombuffer(image.planes, spec.values.level_dtype)
    return np.moveaxis(planes.reshape(spec.channels, *spec.size), 0, -1)
