"""Runs of a tiny network, trained or not."""

from pathlib import Path

from iddm_cli.profiles.writing import dump_profile
from iddm_cli.runs.registry import create_run
from iddm_cli.runs.run import encode_json
from tests.build.profiles import tiny_profile


def make_run(
    runs: Path,
    name: str = "pets",
    *,
    classes: dict[str, int] | None = None,
    dataset: dict[str, object] | None = None,
    **changes: dict,
) -> Path:
    """Write a run without checkpoints, and return its folder."""
    profile = tiny_profile(**changes)
    found = {"classes": {"cat": 1, "dog": 2} if classes is None else classes, **(dataset or {})}
    files = {
        "profile.yaml": dump_profile(profile).encode(),
        "dataset.json": encode_json(found),
        "run.json": encode_json({"updated": "2026"}),
    }
    return create_run(runs, name, files).path.resolve()
