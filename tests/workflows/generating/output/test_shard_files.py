"""Files of shards: what is in them, the same bytes every time, whole or not there."""

import json
import tarfile
from pathlib import Path

import pytest

from iddm_cli import durable
from iddm_cli.data.sources.registry import open_source
from iddm_cli.workflows.generating.output.shard_files import SHARD_FILES, ShardImage
from tests.data.sources.shards.specimens import make_png

CLASSES = ("cat", "żółw")


@pytest.fixture(params=sorted(SHARD_FILES))
def form(request: pytest.FixtureRequest) -> str:
    if request.param == "parquet":
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    return str(request.param)


def images(classes: tuple[str, ...] = CLASSES, count: int = 3) -> list[ShardImage]:
    return [
        ShardImage(
            key=f"{i:06d}",
            suffix="png",
            content=make_png(i),
            label=i % 2 if classes else None,
            metadata={"seed": 7, "index": i, "guidance_interval": [0.0, 1.0]},
        )
        for i in range(count)
    ]


def write(path: Path, classes: tuple[str, ...] = CLASSES, count: int = 3) -> Path:
    with SHARD_FILES[path.suffix[1:]](path, classes) as shard:
        for image in images(classes, count):
            shard.add(image)
        shard.publish()
    return path


@pytest.mark.parametrize("classes", [CLASSES, ()])
def test_a_shard_is_a_source(tmp_path: Path, form: str, classes: tuple[str, ...]) -> None:
    (tmp_path / "s").mkdir()
    path = write(tmp_path / "s" / f"0.{form}", classes, count=250)
    source = open_source(str(path.parent), size=(8, 8))
    assert source.classes == classes
    assert list(source.labels) == [i % 2 * bool(classes) for i in range(250)]
    chosen = [0, 100, 249]
    assert [source.image(i).open().image.getpixel((0, 0))[0] for i in chosen] == chosen
    assert source.item_name(100).endswith("000100.png")


def test_equal_images_have_equal_bytes(tmp_path: Path, form: str) -> None:
    first, second = (write(tmp_path / f"{name}.{form}").read_bytes() for name in "ab")
    assert first == second


def test_nothing_is_left_of_an_unfinished_shard(tmp_path: Path, form: str) -> None:
    with SHARD_FILES[form](tmp_path / f"0.{form}", CLASSES) as shard:
        shard.add(images()[0])
    assert list(tmp_path.iterdir()) == []


def test_the_metadata_of_a_sample(tmp_path: Path) -> None:
    with tarfile.open(write(tmp_path / "0.tar")) as archive:
        assert archive.getnames()[:2] == ["000000.png", "000000.json"]
        facts = json.loads(archive.extractfile("000001.json").read())
    assert facts == {
        "label": "żółw",
        "class_index": 1,
        "seed": 7,
        "index": 1,
        "guidance_interval": [0.0, 1.0],
    }


def test_hugging_face_reads_the_columns(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    table = pq.read_table(write(tmp_path / "0.parquet"))
    assert table.column_names == ["image", "label", "index", "metadata"]
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"names": list(CLASSES), "_type": "ClassLabel"}
    assert table["label"].to_pylist() == [0, 1, 0]
    assert json.loads(table["metadata"][2].as_py())["index"] == 2


def test_another_process_may_have_published_the_shard(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"a.{form}"
    with SHARD_FILES[form](path, CLASSES) as shard:
        shard.add(images()[0])
        content = write(tmp_path / f"b.{form}").read_bytes()
        path.write_bytes(content)
        durable.remove_leftovers([path])
        shard.publish()
    assert path.read_bytes() == content
    with pytest.raises(FileNotFoundError), SHARD_FILES[form](path, CLASSES) as shard:
        path.unlink()
        durable.partial_path(path).unlink()
        shard.publish()
