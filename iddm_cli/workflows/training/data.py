"""The dataset of a training: found, packed, and described for the run."""

from typing import TYPE_CHECKING

from iddm_cli.display.progress import show_progress
from iddm_cli.distributed.environment import read_rank_info

if TYPE_CHECKING:
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.profiles.profile import Profile, ResolvedProfile
    from iddm_cli.profiles.settings import DataSettings
    from iddm_cli.value_range import ValueRange


def prepare_data(
    profile: "Profile",
    *,
    known_classes: tuple[str, ...] | None = None,
    values: "ValueRange | None" = None,
) -> tuple["ResolvedProfile", "Pack"]:
    """Find and pack the profile's dataset, with a progress bar.

    Args:
        profile: The profile.
        known_classes: The classes of the run that is resumed; None for a new dataset.
        values: The range of values that a resumed run has recorded; None for a new run.

    Returns:
        The profile with its channels and augmentation decided, and the pack.

    Raises:
        DatasetError: The dataset cannot be found, read or trained on.
    """
    from iddm_cli.data.packs.builder import build_pack
    from iddm_cli.data.sources.registry import open_dataset

    data = profile.data
    if known_classes == () and data.conditional == "auto":
        # Label files that an older version did not understand must not add classes to the run.
        data = data.model_copy(update={"conditional": False})
    with show_progress() as progress:
        source = open_dataset(data, require_labels=known_classes is None, progress=progress)
        pack = build_pack(source, _share_cores(data), values=values, progress=progress)
    return record_whole_size(profile, pack).resolve(pack.channels, pack.count), pack


def record_whole_size(profile: "Profile", pack: "Pack") -> "Profile":
    """Return the profile with the size of the images that crops lie in, where it matters."""
    from iddm_cli.data.packs.crops import find_median_size

    if not profile.data.crop_position or profile.data.whole_size is not None:
        return profile
    data = profile.data.model_copy(update={"whole_size": [*find_median_size(pack)]})
    return profile.model_copy(update={"data": data})


def _share_cores(data: "DataSettings") -> "DataSettings":
    """Return the settings for one of several processes of this machine that all pack slices."""
    from iddm_cli.data.decoding.workers import choose_count

    info = read_rank_info()
    if info is None or info.local_world_size == 1 or data.workers:
        return data
    return data.model_copy(update={"workers": max(1, choose_count() // info.local_world_size)})


def describe_dataset(pack: "Pack", path: str) -> dict[str, object]:
    """Return the content of dataset.json."""
    counts = pack.class_counts()
    return {
        "path": path,
        "digest": pack.digest,
        "count": pack.count,
        **({} if pack.tiles is None else {"images": len(pack.image_labels)}),
        "classes": dict(zip(pack.classes, counts, strict=True)),
        "channels": pack.channels,
        "values": pack.values.to_json(),
        **({} if pack.latents is None else {"latents": pack.latents.scale.to_json()}),
        "height": pack.height,
        "width": pack.width,
        "skipped": [list(item) for item in pack.unreadable],
        "held_out": pack.report_held_out().to_json(),
    }


def with_absolute_data(profile: "Profile") -> "Profile":
    """Return the profile with an absolute data.path, so that the run resumes from anywhere."""
    from iddm_cli.data.sources.source import make_absolute

    path = make_absolute(profile.data.path)
    if path == profile.data.path:
        return profile
    data = profile.data.model_copy(update={"path": path})
    return profile.model_copy(update={"data": data})
