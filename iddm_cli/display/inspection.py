"""The inspection report of a dataset on the terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from iddm_cli.data.decoding.formats.left_out import drop_left_out
from iddm_cli.data.inspection.report_data import (
    Duplicates,
    HistogramBar,
    Inspection,
    PixelStats,
    Spread,
    ValueHistogram,
)
from iddm_cli.display.console import escape_control
from iddm_cli.display.dataset import describe_channels, describe_held_out
from iddm_cli.display.tables import column_table, format_amount, key_value_table

CLASSES_SHOWN = 30
REASONS_SHOWN = 12
GROUPS_SHOWN = 5
BANDS_SHOWN = 3
PER_MILLE = 1000
BLOCKS = " ▏▎▍▌▋▊▉█"
MAX_BAR_WIDTH = 32

Rows = list[tuple[str, str]]


def render_inspection(inspection: Inspection) -> RenderableType:
    """Return the report: titled sections, and the verdict at the end."""
    parts: list[RenderableType] = [key_value_table(_dataset_rows(inspection))]
    for title, section in _sections(inspection):
        parts += ["", Text(title, style="bold"), section]
    style = "green" if inspection.trainable else "bold red"
    word = "trainable" if inspection.trainable else "not trainable"
    parts += ["", Text.assemble((word, style), f": {escape_control(inspection.verdict)}")]
    return Group(*parts)


def _sections(inspection: Inspection) -> Iterable[tuple[str, RenderableType]]:
    count, sizes = inspection.count, inspection.sizes
    if inspection.classes:
        split = ": training + held out" if inspection.held_out.count else ""
        yield f"Classes{split}", _render_classes(inspection)
    if count:
        yield "Shorter side, in pixels", render_histogram(sizes.shorter_sides, total=count)
        yield "Width to height", render_histogram(sizes.aspects, total=count)
        for name, histogram in value_histograms(inspection)[:BANDS_SHOWN]:
            yield name, render_histogram(histogram.bars, total=PER_MILLE)
        yield _preprocessing_title(inspection), key_value_table(preprocessing_rows(inspection))
    if inspection.faults:
        yield "Skipped files", _render_reasons(inspection)
    if inspection.duplicates.groups:
        yield "Equal images", _render_groups(inspection.duplicates)
    if inspection.near_duplicates.groups:
        yield "Near duplicates", _render_groups(inspection.near_duplicates)
    if inspection.advice:
        yield "Advice", _render_advice(inspection)


def value_histograms(inspection: Inspection) -> list[tuple[str, ValueHistogram]]:
    """Return the titles and histograms of the values; none for ordinary images of 8 bits."""
    report = inspection.value_range
    histograms = report.histograms if report else []
    return [(f"Values{h.name and f' of {h.name}'}, of {PER_MILLE:,}", h) for h in histograms]


def _dataset_rows(inspection: Inspection) -> Rows:
    path = f", {inspection.place}" if inspection.place else ""
    stored = f", {format_amount(inspection.total_bytes)}" if inspection.total_bytes else ""
    rows = [("dataset", f"{inspection.name}{path}")]
    rows += [("layout", note) for note in inspection.notes]
    rows += [("images", f"{inspection.count:,}{stored}")]
    if held_out := describe_held_out(inspection.held_out):
        rows.append(("held out", held_out))
    rows += [("left out", sentence) for sentence in inspection.left_out]
    if inspection.unreadable or inspection.skipped:
        rows.append(("skipped", format_skipped(inspection)))
    rows.append(("classes", f"{len(inspection.classes):,}" if inspection.classes else "none"))
    return rows + (image_rows(inspection) if inspection.count else [])


def format_skipped(inspection: Inspection) -> str:
    """Return how many files cannot be used, besides the kinds that are reported as left out."""
    parts = [(drop_left_out(inspection.unreadable), "unreadable")]
    parts += [(drop_left_out(inspection.skipped), "other entries")]
    return ", ".join(f"{len(files):,} {words}" for files, words in parts)


def image_rows(inspection: Inspection) -> Rows:
    """Return sizes, kinds and pixel values of the images as names and values."""
    sizes, kinds = inspection.sizes, inspection.kinds
    common = ", ".join(f"{w} x {h} ({count:,})" for w, h, count in sizes.common)
    rows = [
        ("width", format_spread(sizes.width)),
        ("height", format_spread(sizes.height)),
        ("most common sizes", common),
        ("modes", format_counts(kinds.modes)),
        ("formats", format_counts(kinds.formats)),
        ("suffixes", format_counts(kinds.suffixes)),
        ("pixel values", format_pixel_stats(inspection.values)),
    ]
    if report := inspection.value_range:
        clipped = f", {report.clipped:.2%} clipped" if report.clipped else ""
        rows.append(("trained range", f"{report.range}{clipped}"))
    special = {
        "grey": kinds.grey,
        "grey, stored as colour": kinds.grey_stored_as_colour,
        "transparent": kinds.transparent,
        "several frames": kinds.animated,
        "16 bits": kinds.sixteen_bit,
        "one colour": len(inspection.constant),
        "repeated": inspection.duplicates.count,
        "near duplicates": inspection.near_duplicates.count,
    }
    return rows + [(name, f"{count:,}") for name, count in special.items() if count]


def format_spread(spread: Spread) -> str:
    """Return minimum to maximum and the median; one number if all are equal."""
    if spread.smallest == spread.largest:
        return f"{spread.median:,}"
    return f"{spread.smallest:,} to {spread.largest:,}, median {spread.median:,}"


def format_counts(counts: dict[str, int]) -> str:
    """Return names with their counts."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def format_pixel_stats(values: PixelStats) -> str:
    """Return mean and standard deviation of each channel."""
    channels = zip(values.channels, values.mean, values.deviation, strict=True)
    each = (f"{name} {mean:.1f} ± {deviation:.1f}" for name, mean, deviation in channels)
    return f"{', '.join(each)} ({values.unit})"


def _preprocessing_title(inspection: Inspection) -> str:
    profile = inspection.treatment.profile
    if not profile:
        return "Preprocessing with the defaults (no profile)"
    return f"Preprocessing with the profile {escape_control(profile)}"


def preprocessing_rows(inspection: Inspection) -> Rows:
    """Return how the profile preprocesses the images as names and values."""
    preview = inspection.treatment
    colour = describe_channels(preview.channels)
    rows = [
        ("trained at", f"{preview.width} x {preview.height}, {colour}"),
        ("crops", _format_crops(inspection))
        if preview.crops
        else ("aspect", _format_aspect(inspection)),
    ]
    if preview.enlarged:
        factor = f"{preview.enlarged_by:.3g} times at the median"
        rows.append(("enlarged", f"{preview.enlarged:,}, {factor}"))
    rows.append(("cache", format_amount(preview.pack_bytes)))
    rows.append(("epoch", f"{preview.steps_per_epoch:,.4g} steps of {preview.batch_size}"))
    return rows


def _format_crops(inspection: Inspection) -> str:
    crops, images = inspection.treatment.crops, inspection.count
    return f"anywhere in the images; {crops:,} fit beside each other, {crops / images:,.3g} of each"


def _format_aspect(inspection: Inspection) -> str:
    preview = inspection.treatment
    return {
        "crop": f"crop keeps {preview.kept:.0%} of the area, at worst {preview.kept_least:.0%}",
        "pad": f"pad: {preview.padding:.0%} padding, at worst {preview.padding_most:.0%}",
        "squash": f"squash: {preview.distortion:.2f} times, at worst {preview.distortion_most:.2f}",
    }[preview.aspect]


def _render_classes(inspection: Inspection) -> RenderableType:
    bars = [HistogramBar(name, count) for name, count in inspection.classes.items()]
    some = bars[:CLASSES_SHOWN]
    details: list[str] = []
    if inspection.held_out.count:
        splits = (inspection.split_of(bar.label) for bar in some)
        details = [f"{training:,} + {kept:,}" for training, kept in splits]
    shown = render_histogram(some, total=inspection.count, details=details)
    if not (rest := [bar.count for bar in bars[CLASSES_SHOWN:]]):
        return shown
    more = f"and {len(rest):,} more, of {min(rest):,} to {max(rest):,}; all: --json"
    return Group(shown, Text(more, style="dim"))


def render_histogram(
    bars: Sequence[HistogramBar], *, total: int, details: Sequence[str] = ()
) -> Table:
    """Return a table of the bars: label, count, share of the total, details, bar."""
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style="dim")
    if details:
        table.add_column(justify="right", no_wrap=True)
    table.add_column()
    most = max((bar.count for bar in bars), default=1)
    for i, bar in enumerate(bars):
        share = f"{bar.count / max(1, total):.1%}"
        blocks = BlockBar(bar.count / max(1, most))
        cells = f"{bar.count:,}", share, *details[i : i + 1]
        table.add_row(Text(escape_control(bar.label)), *cells, blocks)
    return table


class BlockBar:
    """A bar of block characters, to an eighth of a character; of # on ASCII-only terminals.

    Args:
        share: Of the available width, from 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self.share = share

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return the minimum and maximum width."""
        return Measurement(1, min(MAX_BAR_WIDTH, options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the bar; it is visible for every share above 0."""
        eighths = self.share * min(MAX_BAR_WIDTH, options.max_width) * 8
        whole, rest = divmod(max(round(eighths), int(self.share > 0)), 8)
        if options.ascii_only:
            yield Text("#" * max(whole, int(self.share > 0)), style="cyan")
        else:
            yield Text(f"{BLOCKS[-1] * whole}{BLOCKS[rest].strip()}", style="cyan")


def _render_reasons(inspection: Inspection) -> Table:
    rows = [
        (f"{reason.count:,}", reason.reason, ", ".join(_add_rest(reason.examples, reason.count)))
        for reason in inspection.faults[:REASONS_SHOWN]
    ]
    if (hidden := len(inspection.faults) - REASONS_SHOWN) > 0:
        rows.append(("", f"{hidden:,} more reasons; all: --json", ""))
    return column_table(("", "reason", "files"), rows)


def _add_rest(names: Sequence[str], count: int) -> list[str]:
    """Return the names, and how many more of `count` there are."""
    return [*names, f"{count - len(names):,} more"] if count > len(names) else [*names]


def _render_groups(duplicates: Duplicates) -> Table:
    rows = []
    for group in duplicates.groups[:GROUPS_SHOWN]:
        several = "several classes" if len(group.classes) > 1 else ""
        names = _add_rest(group.pictures[:3], len(group.pictures))
        rows.append((f"{len(group.pictures):,}", ", ".join(names), several))
    if (hidden := len(duplicates.groups) - GROUPS_SHOWN) > 0:
        rows.append(("", f"{hidden:,} more groups; all: --json", ""))
    return column_table(("", "images", ""), rows)


def _render_advice(inspection: Inspection) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for advice in inspection.advice:
        mark = Text("!", style="bold yellow") if advice.level == "warning" else Text("-", "cyan")
        table.add_row(mark, Text(escape_control(advice.text)))
    return table
