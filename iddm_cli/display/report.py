"""The inspection report as a self-contained HTML page, and as a contact sheet."""

from collections.abc import Sequence
from typing import Any

from PIL import Image

from iddm_cli import image_files
from iddm_cli.data.inspection.advice import pluralize
from iddm_cli.data.inspection.report_data import Duplicates, HistogramBar, Inspection
from iddm_cli.data.inspection.thumbnails import Thumbnail, ThumbnailSet
from iddm_cli.data.packs.held_out import SHARE
from iddm_cli.display.dataset import describe_channels, describe_held_out
from iddm_cli.display.html.image_tags import image_attributes
from iddm_cli.display.html.template import render_template
from iddm_cli.display.inspection import (
    format_skipped,
    image_rows,
    preprocessing_rows,
    value_histograms,
)
from iddm_cli.display.tables import format_amount

FILES_LISTED = 500
SHEET_ROWS, SHEET_COLUMNS = 200, 8
BAR_WIDTH = 190


def render_page(inspection: Inspection, thumbnails: ThumbnailSet) -> str:
    """Return the HTML page."""
    return render_template(
        "inspection.html.j2",
        report=inspection,
        held_out=describe_held_out(inspection.held_out),
        figures=_key_figures(inspection),
        facts=image_rows(inspection) if inspection.count else [],
        preprocessing=preprocessing_rows(inspection),
        classes=_class_rows(inspection, thumbnails),
        pairs=[
            (image_attributes(pair.original), image_attributes(pair.preprocessed))
            for pair in thumbnails.pairs
        ],
        sides=_plot_bars(inspection.sizes.shorter_sides),
        aspects=_plot_bars(inspection.sizes.aspects),
        values=[(title, _plot_bars(h.bars)) for title, h in value_histograms(inspection)],
        equal=_duplicate_groups(inspection.duplicates, thumbnails.equal),
        near=_duplicate_groups(inspection.near_duplicates, thumbnails.near),
        skipped=[*inspection.unreadable, *inspection.skipped],
        listed=FILES_LISTED,
    )


def _key_figures(inspection: Inspection) -> list[tuple[str, str, str]]:
    """Return the figures at the top of the page: number, noun, detail."""
    side, preview = inspection.sizes.shorter_side, inspection.treatment
    stored = format_amount(inspection.total_bytes) if inspection.total_bytes else ""
    classes = inspection.classes.values()
    each = f"{_format_range(min(classes), max(classes))} images each" if classes else ""
    near = pluralize(inspection.near_duplicates.count, "near duplicate")
    skipped = len(inspection.unreadable) + len(inspection.skipped)
    colour = describe_channels(preview.channels)
    return [
        (f"{inspection.count:,}", "images", stored),
        *_held_out_figure(inspection),
        (f"{len(inspection.classes):,}" if inspection.classes else "no", "classes", each),
        (f"{side.median:,} px", "shorter side", _format_range(side.smallest, side.largest)),
        (f"{preview.width} × {preview.height}", "trained at", colour),
        (f"{inspection.duplicates.count:,}", "repeated", near),
        (f"{skipped:,}", "skipped files", format_skipped(inspection)),
    ]


def _held_out_figure(inspection: Inspection) -> list[tuple[str, str, str]]:
    """Return the figure of the images that are never trained on, if there are any."""
    report = inspection.held_out
    if not report.count:
        return []
    origin = "by data.held_out" if report.facts.origin == SHARE else f"all of {report.facts.origin}"
    return [(f"{report.count:,}", "held out", origin)]


def _format_range(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _class_rows(inspection: Inspection, thumbnails: ThumbnailSet) -> list[dict[str, Any]]:
    """Return a row for each class; without classes, one for the whole set."""
    counts = inspection.classes or {"": inspection.count}
    most = max(counts.values()) or 1
    return [
        {
            "name": name,
            "count": count,
            "share": count / max(1, inspection.count),
            "split": inspection.split_of(name) if name and inspection.held_out.count else None,
            "width": round(100 * count / most, 2),
            "images": [image_attributes(thumbnail) for thumbnail in row],
        }
        for (name, count), row in zip(counts.items(), thumbnails.classes, strict=True)
    ]


def _duplicate_groups(duplicates: Duplicates, thumbnails: list[list[Thumbnail]]) -> dict[str, Any]:
    """Return the first groups with their images."""
    shown = zip(duplicates.groups, thumbnails, strict=False)
    return {
        "total": len(duplicates.groups),
        "complete": duplicates.complete,
        "shown": [
            {
                "classes": group.classes,
                "more": len(group.pictures) - len(row),
                "images": [image_attributes(thumbnail) for thumbnail in row],
            }
            for group, row in shown
        ],
    }


def _plot_bars(bars: Sequence[HistogramBar]) -> list[dict[str, Any]]:
    """Return the bars with their widths in the plot."""
    most = max((bar.count for bar in bars), default=1) or 1
    return [
        {"label": bar.label, "count": bar.count, "width": round(BAR_WIDTH * bar.count / most, 1)}
        for bar in bars
    ]


def render_contact_sheet(inspection: Inspection, thumbnails: ThumbnailSet) -> Image.Image:
    """Return a grid with a row of thumbnails for each class, or one row without classes."""
    names = list(inspection.classes) or [inspection.name]
    rows = list(zip(names, thumbnails.classes, strict=False))[:SHEET_ROWS]
    images = [(name, [small.image() for small in row[:SHEET_COLUMNS]]) for name, row in rows]
    return image_files.make_grid(images, cell=64)
