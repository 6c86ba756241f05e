"""Files as IDDM writes them, of each of its generations, with random weights."""

from pathlib import Path

import torch
from torch import Tensor

LIST = Path(__file__).with_name("upstream_unet_keys.txt")


def _shapes() -> dict[str, tuple[int, ...]]:
    lines = [line.split("\t") for line in LIST.read_text().splitlines() if line[0] != "#"]
    return {
        name: tuple(int(number) for number in shape.strip("()").split(",") if number.strip())
        for name, shape in lines
    }


KEYS = _shapes()
"""Names and shapes of the tensors, as published: ten classes, in colour."""

LABELS = "condition_adapter.label_emb.weight"


def weights(*, classes: int = 2, channels: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Return a state dict with random numbers; 0 classes is an unconditional one."""
    generator = torch.Generator().manual_seed(seed)
    shapes = dict(KEYS)
    shapes["inc.double_conv.0.weight"] = (64, channels, 3, 3)
    shapes["outc.weight"], shapes["outc.bias"] = (channels, 64, 1, 1), (channels,)
    del shapes[LABELS]
    if classes:
        shapes = {LABELS: (classes, 256), **shapes}
    return {
        name: torch.randn(shape, generator=generator) * (0.5 if len(shape) == 1 else 0.05)
        for name, shape in shapes.items()
    }


def today(model: dict | None, average: dict | None, **changes: object) -> dict[str, object]:
    """Return the dict that upstream saves since December 2023."""
    tables = [table for name, table in (model or average or {}).items() if "label_emb" in name]
    return {
        "start_epoch": 299,
        "model": model,
        "ema_model": average,
        "optimizer": {"state": {0: {"step": torch.tensor(9.0), "exp_avg": torch.zeros(3)}},
                      "param_groups": [{"lr": 3e-4, "betas": (0.9, 0.999), "foreach": None,
                                        "amsgrad": False, "params": [0, 1]}]},
        "num_classes": len(tables[0]) if tables else 1,
        "classes_name": None,
        "conditional": bool(tables),
        "image_size": [16, 8],
        "sample": "ddpm",
        "network": "unet",
        "act": "gelu",
        "mode": "class",
        **changes,
    }  # fmt: skip
