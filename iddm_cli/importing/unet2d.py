"""The configuration of diffusers' UNet2DModel: what our network can be, key by key."""

from typing import Any

from iddm_cli.checkpoints.tensors import truncate
from iddm_cli.errors import CheckpointError
from iddm_cli.export.diffusers import CONDITIONINGS

FIXED: dict[str, tuple[Any, ...]] = {
    "center_input_sample": (False,),
    "time_embedding_type": ("positional",),
    "mid_block_type": ("UNetMidBlock2D",),
    "mid_block_scale_factor": (1,),
    "downsample_type": ("conv",),
    "upsample_type": ("conv",),
    "act_fn": ("silu", "swish"),
    "add_attention": (True,),
    "class_embed_type": (None,),
    "num_train_timesteps": (None, 1000),
}
"""Keys of UNet2DModel that must have one of these values, of which the first is its default."""

DEFAULTS: dict[str, Any] = {
    "_class_name": "UNet2DModel",
    "sample_size": None,
    "in_channels": 3,
    "out_channels": 3,
    "time_embedding_dim": None,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "down_block_types": ["DownBlock2D", *["AttnDownBlock2D"] * 3],
    "up_block_types": [*["AttnUpBlock2D"] * 3, "UpBlock2D"],
    "block_out_channels": [224, 448, 672, 896],
    "layers_per_block": 2,
    "downsample_padding": 1,
    "dropout": 0.0,
    "attention_head_dim": 8,
    "norm_num_groups": 32,
    "attn_norm_num_groups": None,
    "norm_eps": 1e-5,
    "resnet_time_scale_shift": "default",
    "num_class_embeds": None,
}
"""The other keys, with the defaults of UNet2DModel, which apply where one is left out."""


def checked(config: dict[str, Any]) -> dict[str, Any]:
    """Return the network's configuration with its defaults.

    Raises:
        CheckpointError: A key has a value that our network cannot have; it is named.
    """
    for key, value in config.items():
        if key in FIXED and value not in FIXED[key]:
            allowed = " or ".join(str(one) for one in FIXED[key])
            raise CheckpointError(f"config.json: {key} must be {allowed}, not {truncate(value)}")
        known = key in FIXED or key in DEFAULTS or key.startswith("_")
        if not known and value is not None:
            raise CheckpointError(f"config.json: {truncate(key)} is no key of a UNet2DModel")
    full = DEFAULTS | config
    for key, wanted in (
        ("_class_name", "UNet2DModel"),
        ("out_channels", full["in_channels"]),
        ("attn_norm_num_groups", _attention_groups(full)),
        ("up_block_types", _mirrored(full["down_block_types"])),
    ):
        if full[key] != wanted:
            told = f"{truncate(wanted)}, not {truncate(full[key])}"
            raise CheckpointError(f"config.json: {key} must be {told}")
    return full


def _attention_groups(config: dict[str, Any]) -> Any:
    """Return what attn_norm_num_groups must be: its default differs with the conditioning."""
    left_out = config["attn_norm_num_groups"] is None
    default = config["resnet_time_scale_shift"] == "default"
    return None if left_out and default else config["norm_num_groups"]


def _mirrored(down: Any) -> list[str]:
    """Return the up_block_types that belong to down_block_types.

    Raises:
        CheckpointError: There is a block that we do not have.
    """
    ups = {"DownBlock2D": "UpBlock2D", "AttnDownBlock2D": "AttnUpBlock2D"}
    kinds = down if isinstance(down, list) else [None]
    for kind in kinds:
        if not isinstance(kind, str) or kind not in ups:
            raise CheckpointError(
                f"config.json: down_block_types must be of {' and '.join(ups)}, not "
                f"{truncate(kind)}"
            )
    return [ups[kind] for kind in reversed(kinds)]


def model_section(config: dict[str, Any]) -> dict[str, Any]:
    """Return the model section of a UNet2DModel's configuration."""
    widths = config["block_out_channels"]
    numbers = isinstance(widths, list) and all(type(w) is int and w > 0 for w in widths)
    if not numbers or not widths or any(width % widths[0] for width in widths):
        raise CheckpointError(
            f"config.json: block_out_channels must be multiples of the first, not "
            f"{truncate(widths)}"
        )
    if config["time_embedding_dim"] not in (None, 4 * widths[0]):
        raise CheckpointError(f"config.json: time_embedding_dim must be {4 * widths[0]}")
    conditionings = {theirs: ours for ours, theirs in CONDITIONINGS.items()}
    kind = config["resnet_time_scale_shift"]
    if kind not in conditionings:
        raise CheckpointError(
            f"config.json: resnet_time_scale_shift must be {' or '.join(conditionings)}, "
            f"not {truncate(kind)}"
        )
    attended = [i for i, kind in enumerate(config["down_block_types"]) if "Attn" in kind]
    return {
        "base_channels": widths[0],
        "channel_multipliers": [width // widths[0] for width in widths],
        "blocks_per_level": config["layers_per_block"],
        "attention_levels": attended,
        "head_channels": config["attention_head_dim"],
        "norm_groups": config["norm_num_groups"],
        "dropout": config["dropout"],
        "conditioning": conditionings[kind],
        "norm_eps": config["norm_eps"],
        "downsample_padding": config["downsample_padding"],
        "frequency_shift": config["freq_shift"],
    }
