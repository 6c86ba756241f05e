"""The dataset of a training: found, packed, and described for the run."""

from iddm_cli.data.packs.pack import Pack
from iddm_cli.display.progress import show_progress
from iddm_cli.profiles.profile import Profile


def prepare_data(profile: "Profile") -> tuple["Profile", "Pack"]:
    """Find and pack the profile's dataset, with a progress bar.

    Returns:
        The profile, with what was found out about its pictures, and the pack.

    Raises:
        DatasetError: It cannot be found, read or trained on.
    """
    from iddm_cli.data.packs.builder import build_pack
    from iddm_cli.data.sources.registry import open_source

    data = profile.data
    source = open_source(data.path, size=data.stored_size, label_column=data.label_column)
    with show_progress() as progress:
        packed = build_pack(source, data, progress=progress)

    from iddm_cli.build.data import learnt_from

    return learnt_from(profile, packed), packed


def describe_dataset(packed: "Pack", path: str) -> dict[str, object]:
    """Return dataset.json: what the run learns from."""
    counts = packed.class_counts()
    return {
        "path": path,
        "digest": packed.digest,
        "count": packed.count,
        "classes": dict(zip(packed.classes, counts, strict=True)),
        "channels": packed.channels,
        "height": packed.height,
        "width": packed.width,
        "skipped": [list(item) for item in packed.unreadable],
    }


def with_absolute_data(profile: "Profile") -> "Profile":
    """Write the path of a folder or archive in full, so that the run resumes from anywhere."""
    from iddm_cli.data.sources.source import find_existing

    place = find_existing(profile.data.path)
    if place is None:
        return profile
    data = profile.data.model_copy(update={"path": str(place.resolve())})
    return profile.model_copy(update={"data": data})
