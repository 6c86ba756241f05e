"""The files of upscaled images: each has the path of the image that it was made from."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from iddm_cli import array_files, durable, image_files
from iddm_cli.errors import UsageError
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.value_range import EIGHT_BIT, ValueRange
from iddm_cli.workflows.generating.output.file_names import is_file_name, source_stem

if TYPE_CHECKING:
    from torch import Tensor

    from iddm_cli.engine.sampling.small_image import SmallImage


def name_files(names: Sequence[str], form: str) -> list[str]:
    """Return the paths of upscaled images below their folder: `cat/a.jpg` becomes `cat/a.png`.

    Where images of one folder differ in their suffix alone, the names keep it: `cat/a.jpg.png`.

    Args:
        names: Paths of the images.
        form: The suffix of the files.

    Raises:
        UsageError: Two images would have the same file.
    """
    stems = [str(PurePosixPath(name).with_suffix("")).lower() for name in names]
    count = Counter(stems)
    paths = [
        _name_file(name, form, keeps_suffix=count[stem] > 1)
        for name, stem in zip(names, stems, strict=True)
    ]
    if doubled := [path for path, number in Counter(paths).items() if number > 1]:
        raise UsageError(
            f"several images would be written to {doubled[0]}",
            "Upscale their folders one by one, each into an --out of its own.",
        )
    return paths


def _name_file(name: str, form: str, *, keeps_suffix: bool) -> str:
    path = PurePosixPath(name)
    folders = [part if is_file_name(part) else source_stem(part) for part in path.parts[:-1]]
    stem = source_stem(f"{path.name}.x" if keeps_suffix else path.name)
    return "/".join([*folders, f"{stem}.{form}"])


def describe_inputs(images: "Sequence[SmallImage]") -> str:
    """Return a digest of names, classes and pixels: other images have another one."""
    facts = [[one.name, one.label, one.noise] for one in images]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def describe_folder(
    metadata: SamplingMetadata,
    images: "Sequence[SmallImage]",
    paths: Sequence[str],
    values: ValueRange,
) -> dict[str, object]:
    """Return the content of manifest.json: how the images were upscaled, and their list.

    Args:
        metadata: The metadata that all images share.
        images: The images that were upscaled.
        paths: The paths of their files.
        values: The range of values that they have.
    """
    manifest: dict[str, object] = {
        **metadata.to_json(),
        "inputs": describe_inputs(images),
        "from": [image.name for image in images],
        "images": list(paths),
    }
    if values != EIGHT_BIT:
        manifest["values"] = values.to_json()
    return manifest


def write_upscaled(
    path: Path,
    pixels: "Tensor",
    image: "SmallImage",
    metadata: SamplingMetadata,
    classes: tuple[str, ...],
    values: ValueRange,
) -> None:
    """Write one upscaled image, with its metadata inside the file.

    Args:
        path: The file, whose suffix is the format.
        pixels: Its pixels, [H, W, C].
        image: The image that it was made from.
        metadata: The metadata that all images share.
        classes: Names of the model's classes.
        values: The range of values that the model was trained on.

    Raises:
        OSError: The file cannot be written.
    """
    from iddm_cli.engine.image_generator import to_image

    form = path.suffix.removeprefix(".")
    name = classes[image.label] if image.label < len(classes) else ""
    notes = metadata.text_notes(image.noise, name, {"from": image.name})
    if form in array_files.LOSSY_FORMS:
        content = image_files.encode_image(to_image(pixels), form, notes)
    else:
        content = array_files.encode_values(values.to_values(pixels.numpy()), form, notes)
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write_file(path, content, flush=False)
