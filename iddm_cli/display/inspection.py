"""How an inspection of a dataset looks on the terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from iddm_cli.data.inspection.report_data import Bar, Duplicates, Inspection, Spread, Values
from iddm_cli.display.console import escape_control
from iddm_cli.display.tables import column_table, format_amount, key_value_table

CLASSES_SHOWN = 30
FAULTS_SHOWN = 12
GROUPS_SHOWN = 5
BLOCKS = " ▏▎▍▌▋▊▉█"
LONGEST_BAR = 32

Rows = list[tuple[str, str]]


def report(found: Inspection) -> RenderableType:
    """Lay out an inspection, part by part, each under its title."""
    parts: list[RenderableType] = [key_value_table(_facts(found))]
    for title, part in _parts(found):
        parts += ["", Text(title, style="bold"), part]
    style = "green" if found.trainable else "bold red"
    word = "trainable" if found.trainable else "not trainable"
    parts += ["", Text.assemble((word, style), f": {escape_control(found.verdict)}")]
    return Group(*parts)


def _parts(found: Inspection) -> Iterable[tuple[str, RenderableType]]:
    if found.classes:
        yield "Classes", _classes(found)
    if found.count:
        yield "Shorter side, in pixels", histogram(found.sizes.shorter_sides, total=found.count)
        yield "Width to height", histogram(found.sizes.aspects, total=found.count)
        yield _title(found), key_value_table(treatment(found))
    if found.faults:
        yield "Left out", _faults(found)
    if found.duplicates.groups:
        yield "Equal pictures", _groups(found.duplicates)
    if found.near_duplicates.groups:
        yield "Near duplicates", _groups(found.near_duplicates)
    if found.advice:
        yield "Advice", _advice(found)


def _facts(found: Inspection) -> Rows:
    rows = [("dataset", f"{found.name}{f', {found.place}' if found.place else ''}")]
    rows += [("layout", note) for note in found.notes]
    rows += [("pictures", f"{found.count:,}{_stored(found)}")]
    if found.unreadable or found.skipped:
        rows.append(("left out", left_out(found)))
    rows.append(("classes", f"{len(found.classes):,}" if found.classes else "none"))
    return rows + (picture_facts(found) if found.count else [])


def _stored(found: Inspection) -> str:
    return f", {format_amount(found.total_bytes)}" if found.total_bytes else ""


def left_out(found: Inspection) -> str:
    """Say how much cannot be used."""
    return f"{len(found.unreadable):,} unreadable, {len(found.skipped):,} other entries"


def picture_facts(found: Inspection) -> Rows:
    """Say of what sizes and kinds the pictures are."""
    sizes, kinds = found.sizes, found.kinds
    common = ", ".join(f"{w} x {h} ({count:,})" for w, h, count in sizes.common)
    rows = [
        ("width", in_words(sizes.width)),
        ("height", in_words(sizes.height)),
        ("commonest sizes", common),
        ("modes", counted(kinds.modes)),
        ("formats", counted(kinds.formats)),
        ("suffixes", counted(kinds.suffixes)),
        ("pixel values", pixel_values(found.values)),
    ]
    special = {
        "grey": kinds.grey,
        "grey, stored as colour": kinds.grey_stored_as_colour,
        "transparent": kinds.transparent,
        "several frames": kinds.animated,
        "of 16 bits": kinds.sixteen_bit,
        "of one colour": len(found.constant),
        "repeated": found.duplicates.count,
        "near duplicates": found.near_duplicates.count,
    }
    return rows + [(name, f"{count:,}") for name, count in special.items() if count]


def in_words(spread: Spread) -> str:
    """Write a spread; one number where there is but one."""
    if spread.smallest == spread.largest:
        return f"{spread.median:,}"
    return f"{spread.smallest:,} to {spread.largest:,}, median {spread.median:,}"


def counted(counts: dict[str, int]) -> str:
    """Write counts, the commonest first."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def pixel_values(values: Values) -> str:
    """Write mean and deviation of each channel."""
    channels = zip(values.channels, values.mean, values.deviation, strict=True)
    told = (f"{name} {mean:.1f} ± {deviation:.1f}" for name, mean, deviation in channels)
    return f"{', '.join(told)} (of 0 to 255, as learnt)"


def _title(found: Inspection) -> str:
    profile = found.treatment.profile
    return (
        f"With the profile {escape_control(profile)}"
        if profile
        else "With the defaults (no profile)"
    )


def treatment(found: Inspection) -> Rows:
    """Say what the profile would do."""
    would = found.treatment
    colour = "grey" if would.channels == 1 else "colour"
    rows = [("learnt as", f"{would.width} x {would.height}, {colour}"), ("aspect", _aspect(found))]
    if would.enlarged:
        by = f"{would.enlarged_by:.3g} times in the middle"
        rows.append(("enlarged", f"{would.enlarged:,}, {by}"))
    rows.append(("cache", format_amount(would.pack_bytes)))
    rows.append(("an epoch", f"{would.steps_per_epoch:,.4g} steps of {would.batch_size}"))
    return rows


def _aspect(found: Inspection) -> str:
    would = found.treatment
    return {
        "crop": f"crop keeps {would.kept:.0%} of the area, at worst {would.kept_least:.0%}",
        "pad": f"pad: {would.padding:.0%} padding, at worst {would.padding_most:.0%}",
        "squash": f"squash: {would.distortion:.2f} times, at worst {would.distortion_most:.2f}",
    }[would.aspect]


def _classes(found: Inspection) -> RenderableType:
    bars = [Bar(name, count) for name, count in found.classes.items()]
    shown = histogram(bars[:CLASSES_SHOWN], total=found.count)
    if not (rest := [bar.count for bar in bars[CLASSES_SHOWN:]]):
        return shown
    more = f"and {len(rest):,} more, of {min(rest):,} to {max(rest):,}; all: --json"
    return Group(shown, Text(more, style="dim"))


def histogram(bars: Sequence[Bar], *, total: int) -> Table:
    """Lay out bars: label, bar, count, share of the total."""
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style="dim")
    table.add_column()
    most = max((bar.count for bar in bars), default=1)
    for bar in bars:
        share = f"{bar.count / max(1, total):.1%}"
        blocks = Blocks(bar.count / max(1, most))
        table.add_row(Text(escape_control(bar.label)), f"{bar.count:,}", share, blocks)
    return table


class Blocks:
    """A bar of block characters, an eighth of a character fine; of # where there are only ASCII.

    Args:
        share: Of the room there is, from 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self.share = share

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Take what room there is."""
        return Measurement(1, min(LONGEST_BAR, options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it; what is not nothing is seen."""
        eighths = self.share * min(LONGEST_BAR, options.max_width) * 8
        whole, rest = divmod(max(round(eighths), int(self.share > 0)), 8)
        if options.ascii_only:
            yield Text("#" * max(whole, int(self.share > 0)), style="cyan")
        else:
            yield Text(f"{BLOCKS[-1] * whole}{BLOCKS[rest].strip()}", style="cyan")


def _faults(found: Inspection) -> Table:
    rows = [
        (f"{fault.count:,}", fault.reason, ", ".join(_examples(fault.examples, fault.count)))
        for fault in found.faults[:FAULTS_SHOWN]
    ]
    if (hidden := len(found.faults) - FAULTS_SHOWN) > 0:
        rows.append(("", f"{hidden:,} more reasons; all: --json", ""))
    return column_table(("", "why", "which"), rows)


def _examples(names: Sequence[str], count: int) -> list[str]:
    return [*names, f"{count - len(names):,} more"] if count > len(names) else [*names]


def _groups(found: Duplicates) -> Table:
    rows = []
    for twins in found.groups[:GROUPS_SHOWN]:
        several = "several classes" if len(twins.classes) > 1 else ""
        names = _examples(twins.pictures[:3], len(twins.pictures))
        rows.append((f"{len(twins.pictures):,}", ", ".join(names), several))
    if (hidden := len(found.groups) - GROUPS_SHOWN) > 0:
        rows.append(("", f"{hidden:,} more groups; all: --json", ""))
    return column_table(("", "pictures", ""), rows)


def _advice(found: Inspection) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for advice in found.advice:
        mark = Text("!", style="bold yellow") if advice.level == "warning" else Text("-", "cyan")
        table.add_row(mark, Text(escape_control(advice.text)))
    return table
