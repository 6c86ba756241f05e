"""Advice on settings that suit small images and not large ones."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iddm_cli.profiles.profile import ResolvedProfile

MOST_POSITIONS = 64 * 64
"""Positions from which attention takes most of the time, since its cost grows with their square."""

UNSHIFTED_SIDE = 128
"""Side up to which an unshifted schedule is accepted without advice."""


def list_advice(profile: "ResolvedProfile") -> list[str]:
    """Return what else to set for images as large as a profile's; nothing for small ones."""
    return [*_advise_attention(profile), *_advise_noise(profile)]


def _advise_attention(profile: "ResolvedProfile") -> Iterator[str]:
    stride, (height, width) = profile.model.attention_stride, profile.data.diffused_size
    rows, columns = height // stride, width // stride
    if rows * columns <= MOST_POSITIONS:
        return
    yield (
        f"attention over {rows * columns:,} positions ({rows} x {columns}) takes most of the time, "
        f"as its cost grows with their square{_find_remedy(profile)}"
    )


def _find_remedy(profile: "ResolvedProfile") -> str:
    """Return how attention has fewer positions; "" where nothing in the settings decides it."""
    model, (height, width) = profile.model.model_dump(), profile.data.diffused_size
    if (side := model.get("patch_size")) is None:
        return ""
    count = len(model.get("channel_multipliers", ()))
    affordable = [
        level
        for level in range(count)
        if (height // (side << level)) * (width // (side << level)) <= MOST_POSITIONS
    ]
    if affordable:
        kept = [level for level in model["attention_levels"] if level in affordable]
        levels = ",".join(map(str, kept or affordable[-1:]))
        return f": --set model.attention_levels=[{levels}]"
    return f": --set model.patch_size={2 * side} has a quarter of them"


def _advise_noise(profile: "ResolvedProfile") -> Iterator[str]:
    """Yield a hint where the noise is that of small images (simple diffusion, arXiv:2301.11093)."""
    height, width = profile.data.diffused_size
    is_large = max(height, width) > UNSHIFTED_SIDE
    if is_large and profile.diffusion.noise_shift == 1 and not profile.model.is_autoencoder:
        yield (
            f"images of {height} x {width} show much through the noise of a schedule for small "
            "ones: --set diffusion.noise_shift=auto hides as much of them"
        )
