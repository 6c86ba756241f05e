"""Every image below a folder, wherever it lies: what a dataset would leave out is listed as well.

A dataset has class folders, and leaves out images beside them, masks, and parts of a split. Who
upscales a folder, or compares it with another, means all of its images.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.errors import DatasetError
from iddm_cli.workflows.generating.output.output_layout import MANIFEST
from iddm_cli.workflows.generating.source_images import ImageFiles, list_images

if TYPE_CHECKING:
    from iddm_cli.profiles.settings import DataSettings

OVERVIEW = "grid.png"
"""Of a folder that `iddm generate` wrote; no image of its own."""


def list_every_image(path: Path, option: str, data: "DataSettings") -> ImageFiles:
    """Return an image file, or every image below a folder, or those of an archive.

    The class of an image is the first folder of its path.

    Args:
        path: The file, folder or archive.
        option: The option that names it; "" for an argument.
        data: The settings by which an archive is read.

    Raises:
        UsageError: There is no such file.
        DatasetError: The folder contains no image.
    """
    from iddm_cli.data.sources.folder import FileImage
    from iddm_cli.data.sources.indexing.listing import list_folder, to_printable
    from iddm_cli.data.sources.source import find_existing

    found = find_existing(str(path))
    if found is None or not found.is_dir():
        return list_images(path, option, data)
    is_ours = (found / MANIFEST).is_file()
    paths = [one for one in list_folder(found).paths if not (is_ours and one == OVERVIEW)]
    if not paths:
        raise DatasetError(f"{path} contains no image", f"To see why: iddm inspect-dataset {path}")
    folders = [one.split("/")[0] if "/" in one else found.resolve().name for one in paths]
    names = tuple(map(to_printable, paths))
    handles = tuple(FileImage(str(found), one) for one in paths)
    if not any("/" in one for one in paths):
        return ImageFiles(names, handles)
    classes = tuple(sorted(set(folders)))
    labels = tuple(classes.index(folder) for folder in folders)
    return ImageFiles(names, handles, classes, labels)
