"""Exported files of two models, of which one may guide the other."""

from pathlib import Path

from iddm_cli.export.safetensors import build_safetensors
from tests.export.conftest import trained


def write_models(folder: Path) -> tuple[Path, Path]:
    """Write two models with different weights, and return their paths."""
    paths = folder / "steel.safetensors", folder / "weak.safetensors"
    for scale, path in zip((1.0, 0.5), paths, strict=True):
        model = trained()
        for parameter in model.denoiser.parameters():
            parameter.mul_(scale)
        path.write_bytes(build_safetensors(model))
    return paths
