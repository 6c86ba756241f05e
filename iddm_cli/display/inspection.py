"""How an inspection of a dataset looks on the terminal."""

from rich.console import Group, RenderableType
from rich.text import Text

from iddm_cli.data.inspection import Inspection
from iddm_cli.display.console import printable
from iddm_cli.display.tables import amount, facts, listing

FAULTS_SHOWN = 10
CLASSES_SHOWN = 50


def report(found: Inspection) -> RenderableType:
    """Lay out an inspection: the facts, the classes, the faults, the advice."""
    parts: list[RenderableType] = [facts(_facts(found))]
    if found.classes:
        parts += ["", listing(("class", "pictures", "share"), _class_rows(found))]
    faults = [*found.unreadable, *found.skipped]
    if faults:
        shown = faults[:FAULTS_SHOWN]
        parts += ["", listing(("left out", "why"), shown)]
        if len(faults) > len(shown):
            parts.append(f"... and {len(faults) - len(shown)} more; all of them: --json")
    for sentence in found.advice:
        parts.append(Text.assemble(("advice: ", "bold cyan"), printable(sentence)))
    return Group(*parts)


def _facts(found: Inspection) -> list[tuple[str, str]]:
    sizes = ", ".join(f"{w} x {h} ({count})" for w, h, count in found.common_sizes)
    width, height = found.width, found.height
    return [
        ("dataset", found.name),
        ("pictures", f"{found.count}, {amount(found.total_bytes)}"),
        ("unreadable", str(len(found.unreadable))),
        ("other files", f"{len(found.skipped)} left out"),
        ("classes", str(len(found.classes) or "none")),
        ("width", f"{width.smallest} to {width.largest}, median {width.median}"),
        ("height", f"{height.smallest} to {height.largest}, median {height.median}"),
        ("commonest sizes", sizes),
        ("modes", _counted(found.modes)),
        ("formats", _counted(found.formats)),
        ("duplicates", str(found.duplicates)),
    ]


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items()) or "none"


def _class_rows(found: Inspection) -> list[tuple[str, str, str]]:
    total = max(1, found.count)
    rows = [(name, str(n), f"{n / total:.1%}") for name, n in found.classes.items()]
    hidden = len(rows) - CLASSES_SHOWN
    return rows if hidden <= 0 else [*rows[:CLASSES_SHOWN], (f"... {hidden} more", "", "")]
