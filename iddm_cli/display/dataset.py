"""The five lines about a dataset that `train` begins with: what is learnt from, and what is not."""

import re
from collections import Counter
from collections.abc import Iterable

from iddm_cli.data.packs.pack import Pack
from iddm_cli.display.tables import format_amount
from iddm_cli.profiles.profile import Profile
from iddm_cli.profiles.settings import CacheName

FEW = 50
REASONS_SHOWN = 2

WHERE = {
    "device": "on the device",
    "memory": "in memory",
    "disk": "on disk",
    "off": "decoded anew each time",
}


def summarize_pack(
    pack: Pack, profile: Profile, *, steps: int, cache: CacheName
) -> list[tuple[str, str]]:
    """Say in five named lines what a training learns from."""
    return [
        ("pictures", _classes(pack)),
        ("left out", _left_out(pack)),
        ("originals", _originals(pack)),
        ("learnt as", _learnt_as(pack, profile)),
        ("an epoch", _epoch(pack, profile, steps, cache)),
    ]


def _classes(pack: Pack) -> str:
    notes = "".join(f"; {note}" for note in pack.notes)
    counts = pack.class_counts()
    if not counts:
        return f"{pack.count:,}, without classes{notes}"
    named = sorted(zip(counts, pack.classes, strict=True))
    (least, smallest), (most, largest) = named[0], named[-1]
    each = f"{least:,} each" if least == most else f"{smallest} {least:,} to {largest} {most:,}"
    few = sum(count < FEW for count in counts)
    warning = f"; {few} with fewer than {FEW} will be memorised rather than learnt" if few else ""
    return f"{pack.count:,} in {len(counts):,} classes, {each}{warning}{notes}"


def _left_out(pack: Pack) -> str:
    parts = []
    if pack.skipped:
        parts.append(f"{len(pack.skipped):,} unreadable ({summarize_reasons(pack.skipped)})")
    if pack.passed_over:
        parts.append(
            f"{len(pack.passed_over):,} other entries ({summarize_reasons(pack.passed_over)})"
        )
    return ", ".join(parts) or "nothing"


def summarize_reasons(skipped: Iterable[tuple[str, str]]) -> str:
    """Sum up why things were left out, the commonest reason first, each in its first words."""
    counts = Counter(re.split("[:;,]", reason)[0] for _, reason in skipped)
    if len(counts) == 1:
        return next(iter(counts))
    shown = [f"{count:,} {reason}" for reason, count in counts.most_common(REASONS_SHOWN)]
    return ", ".join(shown) + (", ..." if len(counts) > len(shown) else "")


def _originals(pack: Pack) -> str:
    looks = pack.record.looks
    (w0, w1, w2), (h0, h1, h2) = looks.width, looks.height
    size = f"{w1} x {h1}" if (w0, h0) == (w2, h2) else f"{w0} x {h0} to {w2} x {h2} pixels"
    middle = "" if (w0, h0) == (w2, h2) else f", in the middle {w1} x {h1}"
    first = f"; {looks.animated:,} of several frames, the first is learnt" if looks.animated else ""
    return f"{size}{middle}, {'all grey' if pack.record.grey else 'in colour'}{first}"


def _learnt_as(pack: Pack, profile: Profile) -> str:
    looks, data = pack.record.looks, profile.data
    height, width = data.size
    kind = "grey" if pack.channels == 1 else "colour"
    shown = {
        "crop": f"cropped to {looks.shown:.0%} of their area",
        "pad": "padded",
        "squash": "squashed",
    }
    shape = "" if looks.shown > 0.995 and data.aspect == "crop" else f", {shown[data.aspect]}"
    larger = f", {looks.enlarged:,} of them enlarged" if looks.enlarged else ""
    return f"{width} x {height} {kind}{shape}{larger}"


def _epoch(pack: Pack, profile: Profile, steps: int, cache: CacheName) -> str:
    batch = profile.training.batch_size
    return (
        f"{pack.count / batch:,.4g} steps of {batch} pictures, {steps * batch / pack.count:,.4g} "
        f"epochs in all; {format_amount(pack.pixels_bytes)} {WHERE[cache]}"
    )
