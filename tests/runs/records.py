"""Runs with invented files, for tests that read them."""

import json
from pathlib import Path

from PIL import Image

from iddm_cli.profiles.profile import Profile
from iddm_cli.profiles.writing import dump_profile
from iddm_cli.runs.registry import create_run
from iddm_cli.runs.run import Run
from iddm_cli.runs.run_comparison import RunRecord, read_record

ROWS = [
    {"step": step, "epoch": step / 10, "loss": 1 / step, "lr": 0.001, "seconds": step / 2}
    for step in range(1, 41)
]
EVALUATED = [
    {"step": 10, "held_out_loss": 0.4, "mind": 0.3},
    {"step": 20, "held_out_loss": 0.2, "mind": 0.25},
    {"step": 30, "held_out_loss": 0.5, "mind": 0.1},
]


def make_run(
    folder: Path,
    name: str,
    *,
    rows=(),
    grids=(),
    state="finished",
    digest="one",
    size=8,
    **changes: object,
) -> Run:
    """Write a run.

    Args:
        folder: The runs directory.
        name: The name of the run.
        rows: Lines of metrics.jsonl: objects, or text as it is.
        grids: Steps of sample grids.
        state: State in run.json.
        digest: Digest of the dataset.
        size: Height and width of the images.
        changes: Settings of the training section.
    """
    profile = Profile.model_validate({"training": {"steps": 40, "epochs": None, **changes}})
    dataset = {
        "digest": digest, "count": 123, "classes": {"a": 60, "b": 63},
        "channels": 1, "height": size, "width": size,
    }  # fmt: skip
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    files = {
        "profile.yaml": dump_profile(profile).encode(),
        "run.json": json.dumps({"state": state, "step": 40, "steps": 40}).encode(),
        "dataset.json": json.dumps(dataset).encode(),
    }
    if lines:
        files["metrics.jsonl"] = "".join(f"{line}\n" for line in lines).encode()
    run = create_run(folder, name, files)
    for step in grids:
        image = Image.new("RGB", (40, 20), (step % 256, 0, 0))
        image.save(run.samples_dir / f"step-{step:08d}.png")
    return run


def make_record(folder: Path, name: str, label: str = "", **options) -> RunRecord:
    """Write a run and read it."""
    from iddm_cli.profiles.loading import load_profile

    run = make_run(folder, name, **options)
    return read_record(run, label or name, load_profile(str(run.profile_path), []))
