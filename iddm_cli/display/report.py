"""The report of an inspection as one HTML page that stands alone, and as a contact sheet.

The page holds its style, its plots (SVG) and its pictures (data: addresses) itself, runs no
script and loads nothing. All text is escaped: names of files are whatever someone called them.
"""

import base64
from collections.abc import Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from iddm_cli import __version__, image_files
from iddm_cli.data.inspection.report_data import Bar, Duplicates, Inspection
from iddm_cli.data.inspection.thumbnails import Album, Thumbnail
from iddm_cli.display.inspection import left_out, picture_facts, treatment
from iddm_cli.display.tables import format_amount

CELL = 72
"""Side of the square that a thumbnail fills on the page, in pixels of the page."""

FAULTS_LISTED = 500
SHEET_ROWS, SHEET_COLUMNS = 200, 8
BAR_WIDTH = 190


def page(found: Inspection, album: Album) -> str:
    """Return the page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.lstrip_blocks = True
    environment.filters["number"] = "{:,}".format
    environment.filters["percent"] = "{:.1%}".format
    environment.filters["code"] = _code
    text = resources.files("iddm_cli.display").joinpath("report.html.j2").read_text("utf-8")
    rendered = environment.from_string(text).render(
        found=found,
        version=__version__,
        figures=_figures(found),
        facts=picture_facts(found) if found.count else [],
        treatment=treatment(found),
        classes=_classes(found, album),
        pairs=[(picture(shot.small), picture(shot.learnt)) for shot in album.pairs],
        sides=_bars(found.sizes.shorter_sides),
        aspects=_bars(found.sizes.aspects),
        equal=_groups(found.duplicates, album.equal),
        alike=_groups(found.near_duplicates, album.alike),
        left_out=[*found.unreadable, *found.skipped],
        listed=FAULTS_LISTED,
    )
    return rendered.lstrip()


def _figures(found: Inspection) -> list[tuple[str, str, str]]:
    """Return the figures at the top: number, what it counts, more of it."""
    side, would = found.sizes.shorter_side, found.treatment
    stored = format_amount(found.total_bytes) if found.total_bytes else ""
    classes = found.classes.values()
    each = f"{_range(min(classes), max(classes))} pictures each" if classes else ""
    return [
        (f"{found.count:,}", "pictures", stored),
        (f"{len(found.classes):,}" if found.classes else "no", "classes", each),
        (f"{side.median:,} px", "shorter side", _range(side.smallest, side.largest)),
        (
            f"{would.width} × {would.height}",
            "learnt as",
            "grey" if would.channels == 1 else "colour",
        ),
        (f"{found.duplicates.count:,}", "repeated", f"{found.near_duplicates.count:,} nearly"),
        (f"{len(found.unreadable) + len(found.skipped):,}", "left out", left_out(found)),
    ]


def _range(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _code(text: str) -> Markup:
    """Set what stands between backticks as code."""
    parts = (escape(part) for part in text.split("`"))
    marked = (Markup("<code>{}</code>").format(p) if i % 2 else p for i, p in enumerate(parts))
    return Markup("").join(marked)


def _classes(found: Inspection, album: Album) -> list[dict[str, Any]]:
    """Return a row for each class; without classes, one for the whole set."""
    counts = found.classes or {"": found.count}
    most = max(counts.values()) or 1
    return [
        {
            "name": name,
            "count": count,
            "share": count / max(1, found.count),
            "width": round(100 * count / most, 2),
            "pictures": [picture(thumbnail) for thumbnail in thumbnails],
        }
        for (name, count), thumbnails in zip(counts.items(), album.classes, strict=True)
    ]


def _groups(found: Duplicates, thumbnails: list[list[Thumbnail]]) -> dict[str, Any]:
    """Return the first groups with their pictures."""
    shown = zip(found.groups, thumbnails, strict=False)
    return {
        "total": len(found.groups),
        "complete": found.complete,
        "groups": [
            {
                "classes": twins.classes,
                "more": len(twins.pictures) - len(small),
                "pictures": [picture(thumbnail) for thumbnail in small],
            }
            for twins, small in shown
        ],
    }


def _bars(bars: Sequence[Bar]) -> list[dict[str, Any]]:
    """Return bars with their widths in the plot."""
    most = max((bar.count for bar in bars), default=1) or 1
    return [
        {"label": bar.label, "count": bar.count, "width": round(BAR_WIDTH * bar.count / most, 1)}
        for bar in bars
    ]


def picture(thumbnail: Thumbnail) -> dict[str, Any]:
    """Return what the page says of a thumbnail; tiny ones grow by whole factors, and stay sharp."""
    side = max(thumbnail.width, thumbnail.height)
    scale = CELL // side if side <= CELL else CELL / side
    content = base64.b64encode(thumbnail.content).decode()
    return {
        "name": thumbnail.name,
        "source": f"data:image/{thumbnail.form};base64,{content}",
        "width": max(1, round(thumbnail.width * scale)),
        "height": max(1, round(thumbnail.height * scale)),
        "sharp": scale >= 1,
    }


def contact_sheet(found: Inspection, album: Album) -> Image.Image:
    """Lay out the thumbnails of each class in a row, or of the whole set in one."""
    names = list(found.classes) or [found.name]
    rows = list(zip(names, album.classes, strict=False))[:SHEET_ROWS]
    images = [(name, [small.image() for small in row[:SHEET_COLUMNS]]) for name, row in rows]
    return image_files.make_grid(images, cell=64)
