"""A run and an exported file of models that were never trained."""

from pathlib import Path

from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.profiles.writing import dump_profile
from iddm_cli.runs.registry import create_run
from iddm_cli.runs.run import encode_json
from tests.build.profiles import tiny_profile
from tests.export.conftest import trained


def write_run(folder: Path) -> Path:
    """Write the run `pets` into a folder, and return the folder."""
    profile = tiny_profile(sampling={"sampler": "ddim", "steps": 7, "eta": 0.5})
    files = {
        "profile.yaml": dump_profile(profile).encode(),
        "dataset.json": encode_json({"classes": {"cat": 1, "dog": 2}}),
        "run.json": encode_json({"updated": "2026"}),
    }
    create_run(folder, "pets", files)
    return folder


def write_file(folder: Path) -> Path:
    """Write an exported file into a folder, and return it."""
    path = folder / "steel.safetensors"
    path.write_bytes(build_safetensors(trained()))
    return path
