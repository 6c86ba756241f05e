"""The table of a benchmark: a row for each number of images, a column for each variant."""

import io

from rich.console import Console

from iddm_cli.display.machine.bench_table import bench_table, print_bench


def row(kind: str, precision: str, images: int, rate: float) -> dict:
    memory = {"memory_bytes": 1e9 if kind == "training" else None}
    return {"kind": kind, "precision": precision, "images": images, "images_per_second": rate} | (
        memory
    )


ROWS = [row("training", "fp32", 8, 12.34), row("sampling", "fp32", 8, 5.0),
        row("training", "fp32", 16, 1234.5)]  # fmt: skip


def test_cells_are_at_their_kind_and_number():
    buffer = io.StringIO()
    Console(file=buffer, width=100).print(bench_table(ROWS))
    title, first, second = buffer.getvalue().splitlines()
    assert title.split("  ")[0] == "images at once"
    assert title.index("training fp32") < title.index("memory") < title.index("sampling fp32")
    assert first.split() == ["8", "12.3/s", "1", "GB", "5/s"]
    assert second.split() == ["16", "1.23e+03/s", "1", "GB"]


RESULT = {
    "device": "cpu (1 thread)", "parameters": 1000, "image_size": [8, 8], "channels": 3,
    "classes": 2, "rows": ROWS, "left_out": [64], "interrupted": True, "recommended": [],
    "options": "",
}  # fmt: skip


def test_the_recommended_settings_are_the_only_line_that_is_pasted(capsys):
    one = {"setting": "sampling.batch_size=8", "gain": 2.0, "changes": "nothing"}
    options = "--set sampling.batch_size=8"
    print_bench({**RESULT, "recommended": [one], "options": options})
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == options
    assert "2 times as fast; changes nothing" in err
    assert "64 images" in err
    assert "interrupted" in err
    print_bench(RESULT)
    assert "no setting was clearly faster" in capsys.readouterr().err
