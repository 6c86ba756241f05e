"""The configuration of UNet2DModel: unsupported values are refused by their keys."""

import pytest

from iddm_cli.build.importing import import_model
from iddm_cli.errors import CheckpointError
from iddm_cli.importing.options import ImportOptions
from tests.importing.diffusers_folders import change


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mid_block_type": None}, "mid_block_type must be UNetMidBlock2D, not None"),
        ({"down_block_types": ["SkipDownBlock2D", "DownBlock2D"]}, "not SkipDownBlock2D"),
        ({"up_block_types": ["UpBlock2D", "UpBlock2D"]}, "up_block_types must be"),
        ({"upsample_type": "resnet"}, "upsample_type must be conv, not resnet"),
        ({"downsample_type": "resnet"}, "downsample_type must be conv, not resnet"),
        ({"class_embed_type": "timestep"}, "class_embed_type must be None, not timestep"),
        ({"add_attention": False}, "add_attention must be True, not False"),
        ({"time_embedding_type": "fourier"}, "time_embedding_type must be positional"),
        ({"time_embedding_dim": 7}, "time_embedding_dim must be 128"),
        ({"act_fn": "mish"}, "act_fn must be silu or swish, not mish"),
        ({"center_input_sample": True}, "center_input_sample must be False, not True"),
        ({"mid_block_scale_factor": 2}, "mid_block_scale_factor must be 1, not 2"),
        ({"attn_norm_num_groups": 4}, "attn_norm_num_groups must be 8, not 4"),
        ({"resnet_time_scale_shift": "scale_shift"}, "attn_norm_num_groups must be 8, not None"),
        ({"resnet_time_scale_shift": "spatial", "attn_norm_num_groups": 8},
         "resnet_time_scale_shift must be scale_shift or default, not spatial"),
        ({"out_channels": 6}, "out_channels must be 3, not 6"),
        ({"in_channels": 4, "out_channels": 4}, "in_channels is 4, as in models of latents"),
        ({"block_out_channels": [32, 48]}, "block_out_channels must be multiples"),
        ({"block_out_channels": "wide"}, "block_out_channels must be multiples"),
        ({"block_out_channels": [10**9, 10**9]}, "model.base_channels must be at most 4096"),
        ({"layers_per_block": [1, 2]}, "model.blocks_per_level must be"),
        ({"norm_eps": "small"}, "model.norm_eps must be"),
        ({"downsample_padding": 2}, "model.downsample_padding must be"),
        ({"attention_head_dim": 5}, "head_channels 5 does not divide"),
        ({"sample_size": 15}, "divisible by 2"),
        ({"encoder_hid_dim": 8}, "encoder_hid_dim is not a key of UNet2DModel"),
        ({"_class_name": "UNet2DConditionModel"}, "_class_name must be UNet2DModel"),
        ({"num_class_embeds": "ten"}, "num_class_embeds: ten"),
        ({"num_class_embeds": 10**12}, "is not a number of classes"),
        ({"num_class_embeds": 3}, "missing: class_embedding.weight"),
        ({"layers_per_block": 1}, "unexpected: down_blocks.0.resnets.1"),
        ({"block_out_channels": [32, 32]}, "wrong shape: down_blocks.1"),
    ],
    ids=lambda value: next(iter(value.items())).__repr__() if isinstance(value, dict) else None,
)  # fmt: skip
def test_what_our_network_cannot_be_is_refused_by_its_key(folder, changes, said):
    change(folder, **changes)
    with pytest.raises(CheckpointError) as refused:
        import_model(folder, ImportOptions())
    assert said in refused.value.problem
    assert "\n" not in refused.value.problem
