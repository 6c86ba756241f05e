"""The configuration of UNet2DModel in diffusers: check it key by key, and convert it."""

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
"""Keys of UNet2DModel with the values that our network supports; the default comes first."""

LATENT_CHANNELS = (4, 8, 16)
"""Numbers of channels of the latents of autoencoders."""

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
"""The other keys, with the defaults of UNet2DModel."""


EMA_KEYS = ("decay", "min_decay", "optimization_step", "update_after_step", "use_ema_warmup",
            "inv_gamma", "power")  # fmt: skip
"""Keys that EMAModel of diffusers adds to the configuration of the network."""


def complete_config(config: dict[str, Any]) -> dict[str, Any]:
    """Check a network's configuration, and return it with defaults for missing keys.

    Raises:
        CheckpointError: A key is unknown, or has a value that our network does not support.
    """
    for key, value in config.items():
        if key in FIXED and value not in FIXED[key]:
            allowed = " or ".join(str(one) for one in FIXED[key])
            raise CheckpointError(f"config.json: {key} must be {allowed}, not {truncate(value)}")
        known = key in FIXED or key in DEFAULTS or key in EMA_KEYS or key.startswith("_")
        if not known and value is not None:
            raise CheckpointError(f"config.json: {truncate(key)} is not a key of UNet2DModel")
    full = DEFAULTS | config
    if full["in_channels"] in LATENT_CHANNELS:
        raise CheckpointError(
            f"config.json: in_channels is {full['in_channels']}, as in models of latents, whose "
            "numbers are not pixels; iddm imports models of images"
        )
    for key, required in (
        ("_class_name", "UNet2DModel"),
        ("out_channels", full["in_channels"]),
        ("attn_norm_num_groups", _required_attention_groups(full)),
        ("up_block_types", _mirror_blocks(full["down_block_types"])),
    ):
        if full[key] != required:
            values = f"{truncate(required)}, not {truncate(full[key])}"
            raise CheckpointError(f"config.json: {key} must be {values}")
    return full


def _required_attention_groups(config: dict[str, Any]) -> Any:
    """Return the supported attn_norm_num_groups; its default depends on the conditioning."""
    missing = config["attn_norm_num_groups"] is None
    default = config["resnet_time_scale_shift"] == "default"
    return None if missing and default else config["norm_num_groups"]


def _mirror_blocks(down: Any) -> list[str]:
    """Return the up_block_types that mirror some down_block_types.

    Raises:
        CheckpointError: A block is not supported.
    """
    ups = {"DownBlock2D": "UpBlock2D", "AttnDownBlock2D": "AttnUpBlock2D"}
    blocks = down if isinstance(down, list) else [None]
    for block in blocks:
        if not isinstance(block, str) or block not in ups:
            raise CheckpointError(
                f"config.json: down_block_types must be of {' and '.join(ups)}, "
                f"not {truncate(block)}"
            )
    return [ups[block] for block in reversed(blocks)]


def build_model_section(config: dict[str, Any]) -> dict[str, Any]:
    """Return the model section of a profile for a configuration of UNet2DModel.

    Raises:
        CheckpointError: A key has a value that our network does not support.
    """
    widths = config["block_out_channels"]
    valid = isinstance(widths, list) and all(type(w) is int and w > 0 for w in widths)
    if not valid or not widths or any(width % widths[0] for width in widths):
        raise CheckpointError(
            f"config.json: block_out_channels must be multiples of the first, "
            f"not {truncate(widths)}"
        )
    if config["time_embedding_dim"] not in (None, 4 * widths[0]):
        raise CheckpointError(f"config.json: time_embedding_dim must be {4 * widths[0]}")
    conditionings = {theirs: ours for ours, theirs in CONDITIONINGS.items()}
    conditioning = config["resnet_time_scale_shift"]
    if conditioning not in conditionings:
        raise CheckpointError(
            f"config.json: resnet_time_scale_shift must be {' or '.join(conditionings)}, "
            f"not {truncate(conditioning)}"
        )
    blocks = config["down_block_types"]
    attention_levels = [level for level, block in enumerate(blocks) if "Attn" in block]
    return {
        "base_channels": widths[0],
        "channel_multipliers": [width // widths[0] for width in widths],
        "blocks_per_level": config["layers_per_block"],
        "attention_levels": attention_levels,
        "head_channels": config["attention_head_dim"],
        "norm_groups": config["norm_num_groups"],
        "dropout": config["dropout"],
        "conditioning": conditionings[conditioning],
        "norm_eps": config["norm_eps"],
        "downsample_padding": config["downsample_padding"],
        "frequency_shift": config["freq_shift"],
    }
