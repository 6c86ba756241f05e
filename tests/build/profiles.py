"""A profile of a tiny network."""

from iddm_cli.profiles.profile import ResolvedProfile

TINY = {"base_channels": 8, "norm_groups": 4, "head_channels": 8, "channel_multipliers": [1, 2],
         "attention_levels": [1]}  # fmt: skip


def tiny_profile(**changes: dict) -> ResolvedProfile:
    data = {"channels": 3, "image_size": 16}
    return ResolvedProfile.model_validate({"data": data, "model": TINY, **changes})
