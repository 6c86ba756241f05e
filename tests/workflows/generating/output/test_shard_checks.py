"""Shards that are missing, cut off, or hold an image that is damaged."""

from pathlib import Path

import pytest

from iddm_cli.workflows.generating.output.shard_checks import find_shard_problem, is_shard
from tests.data.sources.shards.specimens import make_png, write_parquet, write_tars


def test_shards_by_name() -> None:
    assert is_shard(Path("00000.tar")) and is_shard(Path("a.parquet"))
    assert not is_shard(Path("a.png"))


@pytest.mark.parametrize("form", ["tar", "parquet"])
def test_problems(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"000.{form}"
    assert find_shard_problem(path, decode=False) == "missing"
    if form == "tar":
        write_tars(tmp_path, count=4)
    else:
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
        write_parquet(path, range(4))
    assert find_shard_problem(path, decode=True) == ""
    content = path.read_bytes()
    image = make_png(2)
    path.write_bytes(content.replace(image, bytes(len(image))))
    assert [find_shard_problem(path, decode=decode) for decode in (False, True)] == ["", "damaged"]
    path.write_bytes(content[: len(content) // 2])
    assert find_shard_problem(path, decode=False) == "damaged"
