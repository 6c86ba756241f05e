"""The lines about a dataset that `iddm train` prints first: what it trains on."""

from collections.abc import Iterable, Iterator, Sequence

from iddm_cli.data.decoding.formats.left_out import (
    describe_left_out,
    drop_left_out,
    group_reasons,
)
from iddm_cli.data.inspection.advice import pluralize
from iddm_cli.data.packs.held_out import OFF, SHARE, HeldOutReport
from iddm_cli.data.packs.pack import Pack
from iddm_cli.display.tables import format_amount
from iddm_cli.profiles.profile import Profile
from iddm_cli.profiles.settings import CacheName

FEW_IMAGES = 50
REASONS_SHOWN = 2
MAX_NAMES_LENGTH = 100
"""Characters of the first class names that are shown; the first name always is."""
KINDS_SHOWN = 6

CACHE_LOCATIONS = {
    "device": "on the device",
    "memory": "in memory",
    "disk": "on disk",
    "off": "decoded in every epoch",
}


def summarize_pack(
    pack: Pack, profile: Profile, *, steps: int, cache: CacheName
) -> list[tuple[str, str]]:
    """Return named lines about the training data; `values` if they are not 0 to 255."""
    skipped = [*pack.unreadable, *pack.skipped_entries]
    values = _describe_values(pack)
    held_out = describe_held_out(pack.report_held_out())
    return [
        ("images", _describe_counts(pack)),
        (f"classes ({len(pack.classes):,})", join_first_names(pack.classes))
        if pack.classes
        else ("classes", "none"),
        *([("held out", held_out)] if held_out else []),
        *(("layout", note) for note in pack.notes),
        *(("left out", sentence) for sentence in describe_left_out(skipped)),
        ("skipped", _describe_skipped(pack)),
        ("originals", _describe_originals(pack)),
        *([("values", values)] if values else []),
        ("trained at", _describe_preprocessing(pack, profile)),
        *(("augmented", sentence) for sentence in _describe_augment(profile.data.augment)),
        ("epoch", _describe_epoch(pack, profile, steps, cache)),
    ]


def describe_held_out(report: HeldOutReport) -> str:
    """Return a sentence on the images that are never trained on; "" if that is switched off."""
    facts = report.facts
    if facts.origin == OFF:
        return ""
    if not report.count:
        return f"none: {'; '.join(facts.notes) or 'no image is below the share'}"
    if facts.origin == SHARE:
        counts = f"{report.count:,} of {report.count + report.training:,} images (data.held_out)"
    else:
        counts = f"{pluralize(report.count, 'image')} of {facts.origin}"
    notes = list(facts.notes)
    if facts.unknown:
        notes.append(f"{facts.unknown:,} of other classes are left out")
    if report.unreadable:
        notes.append(f"{report.unreadable:,} cannot be read")
    return "; ".join([counts, *notes])


def describe_leak(report: HeldOutReport) -> str:
    """Return a warning if held-out images are training images as well; else ""."""
    facts = report.facts
    if not facts.repeated:
        return ""
    return (
        f"{pluralize(facts.repeated, 'image')} of {facts.origin} equal training images, so results "
        "on it look better than they are; remove them from one of the two"
    )


def _describe_counts(pack: Pack) -> str:
    counts, total = pack.image_class_counts(), len(pack.image_labels)
    if not counts:
        return f"{total:,}, without classes{_describe_tiles(pack)}"
    ordered = sorted(zip(counts, pack.classes, strict=True))
    (least, smallest), (most, largest) = ordered[0], ordered[-1]
    each = f"{least:,} each" if least == most else f"{smallest} {least:,} to {largest} {most:,}"
    few = sum(count < FEW_IMAGES for count in pack.class_counts())
    warning = f"; {few} with fewer than {FEW_IMAGES} images may be memorized" if few else ""
    return f"{total:,} in {len(counts):,} classes, {each}{_describe_tiles(pack)}{warning}"


def _describe_tiles(pack: Pack) -> str:
    """Return how many crops the images hold; "" where whole images are trained on."""
    if pack.tiles is None:
        return ""
    return f"; {pack.count:,} crops fit into them beside each other"


def join_first_names(names: Sequence[str]) -> str:
    """Return the first names, and "..." if there are more."""
    shown = ""
    for i, name in enumerate(names):
        if i and len(shown) + len(name) > MAX_NAMES_LENGTH:
            return f"{shown}, ..."
        shown += f", {name}" if i else name
    return shown


def _describe_skipped(pack: Pack) -> str:
    parts = []
    if unreadable := drop_left_out(pack.unreadable):
        parts.append(f"{len(unreadable):,} unreadable ({summarize_reasons(unreadable)})")
    groups = list(group_reasons(drop_left_out(pack.skipped_entries), ":;,").items())
    parts += [f"{len(names):,} {label}" for label, names in groups[:KINDS_SHOWN]]
    if rest := sum(len(names) for _, names in groups[KINDS_SHOWN:]):
        parts.append(f"{rest:,} other files")
    return ", ".join(parts) or "nothing"


def summarize_reasons(skipped: Iterable[tuple[str, str]]) -> str:
    """Return the most common reasons why files were skipped, shortened to their first words."""
    groups = group_reasons(skipped, ":;,")
    if len(groups) == 1:
        return next(iter(groups))
    shown = [f"{len(names):,} {label}" for label, names in [*groups.items()][:REASONS_SHOWN]]
    return ", ".join(shown) + (", ..." if len(groups) > len(shown) else "")


def _describe_originals(pack: Pack) -> str:
    stats = pack.record.looks
    (w0, w1, w2), (h0, h1, h2) = stats.width, stats.height
    same = (w0, h0) == (w2, h2)
    size = f"{w1} x {h1}" if same else f"{w0} x {h0} to {w2} x {h2} pixels, median {w1} x {h1}"
    colour = "all grey" if pack.record.grey else "in colour"
    if pack.channels not in (1, 3):
        colour = describe_channels(pack.channels)
    frames = f"; {stats.animated:,} of several frames, only the first is used"
    return f"{size}, {colour}{frames if stats.animated else ''}"


def _describe_values(pack: Pack) -> str:
    """Return the range of values and the bands, unless these are ordinary images of 8 bits."""
    parts = list(pack.value_notes)
    if not pack.values.is_8_bit:
        parts.insert(0, f"{pack.values.describe()} become black to white (data.value_range)")
    if pack.channels not in (1, 3):
        shown = "the first" if pack.channels == 2 else "the first three"
        parts.append(f"{pack.channels} bands, of which sample grids show {shown}")
    return "; ".join(parts)


def describe_channels(channels: int) -> str:
    """Return what images of so many channels are called."""
    return {1: "grey", 3: "colour"}.get(channels, f"{channels} bands")


def _describe_preprocessing(pack: Pack, profile: Profile) -> str:
    stats, data = pack.record.looks, profile.data
    height, width = data.size
    colour = describe_channels(pack.channels)
    if data.crop is not None:
        scaled = f"of images at {data.crop_scale:g} of their size" * (data.crop_scale != 1)
        crops = "random crops" + " and their positions" * data.crop_position
        return f"{width} x {height} {colour}, {crops} {scaled}".strip()
    method = {
        "crop": f"cropped to {stats.shown:.0%} of their area",
        "pad": "padded",
        "squash": "squashed",
    }
    shape = "" if stats.shown > 0.995 and data.aspect == "crop" else f", {method[data.aspect]}"
    enlarged = f", {stats.enlarged:,} of them enlarged" if stats.enlarged else ""
    return f"{width} x {height} {colour}{shape}{enlarged}"


def _describe_augment(augment: float | str) -> Iterator[str]:
    """Yield a sentence on the changes that condition the network, if there are any."""
    if augment not in ("off", 0):
        yield f"each kind of change with probability {augment:g}, none in generated images"


def _describe_epoch(pack: Pack, profile: Profile, steps: int, cache: CacheName) -> str:
    batch = profile.training.batch_size
    return (
        f"{pack.count / batch:,.4g} steps of {batch} images, {steps * batch / pack.count:,.4g} "
        f"epochs in all; {format_amount(pack.pixels_bytes)} {CACHE_LOCATIONS[cache]}"
    )
