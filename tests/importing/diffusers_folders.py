"""Networks of diffusers with random weights, and changes of their configuration."""

import json

import torch
from diffusers import (
    UNet2DModel,
)

SMALL = {
    "sample_size": 16, "block_out_channels": (32, 64), "norm_num_groups": 8,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}  # fmt: skip


FAMOUS = {
    **SMALL, "attention_head_dim": None, "norm_eps": 1e-6, "downsample_padding": 0,
    "flip_sin_to_cos": False, "freq_shift": 1, "act_fn": "silu",
}  # fmt: skip
"""What is unusual about the models of the DDPM paper, google/ddpm-*."""


SCALE_SHIFT = {**SMALL, "resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 8}


def network(**config) -> UNet2DModel:
    torch.manual_seed(0)
    model = UNet2DModel(**{**SMALL, **config})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return model.eval().requires_grad_(False)


def change(folder, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
