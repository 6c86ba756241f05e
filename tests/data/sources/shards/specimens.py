"""Small sharded datasets: tars and Parquet files of images of one colour each."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

NAMES = ("cat", "dog", "eel")


def make_png(number: int) -> bytes:
    """Return an image whose red value is a number."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), (number, 90, 200)).save(stream, "PNG")
    return stream.getvalue()


def write_tar(path: Path, files: Sequence[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def sample(number: int, suffix: str = "cls", label: str | None = None) -> list[tuple[str, bytes]]:
    """Return the files of one sample of webdataset."""
    text = NAMES[number % 3] if label is None else label
    content = json.dumps({"label": text}) if suffix == "json" else text
    return [(f"{number:06d}.png", make_png(number)), (f"{number:06d}.{suffix}", content.encode())]


def write_tars(folder: Path, count: int = 12, each: int = 5) -> Path:
    """Write images 0 to count - 1 in shards of a few."""
    for shard, start in enumerate(range(0, count, each)):
        numbers = range(start, min(count, start + each))
        files = [file for number in numbers for file in sample(number)]
        write_tar(folder / f"{shard:03d}.tar", files)
    return folder


def write_parquet(
    path: Path,
    numbers: Sequence[int],
    *,
    labels: Sequence[object] | None = None,
    class_names: Sequence[str] | None = NAMES,
    rows: int = 4,
) -> Path:
    """Write images as Hugging Face datasets does, with a ClassLabel if classes have names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [{"bytes": make_png(number), "path": None} for number in numbers]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    column = [number % 3 for number in numbers] if labels is None else list(labels)
    table = pa.table({"image": pa.array(images, kind), "label": pa.array(column)})
    if class_names is not None:
        label = {"names": list(class_names), "_type": "ClassLabel"}
        features = {"image": {"_type": "Image"}, "label": label}
        content = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": content})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows, compression="none")
    return path
