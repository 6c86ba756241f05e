"""Report how close sets of images are to their originals: as text or JSON, and as a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.workflows.html_pages import write_page

if TYPE_CHECKING:
    from iddm_cli.evaluation.pair_fidelity import Fidelity


def report_fidelities(
    title: str,
    results: "Sequence[tuple[str, Fidelity]]",
    warnings: Sequence[str],
    *,
    document: Mapping[str, object] | None,
    out: Path | None,
    page_title: str | None = None,
) -> None:
    """Print the fidelity of sets of images, and write its page.

    Args:
        title: What the images are called.
        results: The title of each set, and its numbers.
        warnings: What to know of them, as sentences.
        document: What is printed as JSON instead; the warnings are added. None prints text.
        out: File of the page; None writes none.
        page_title: Title of the page; None: that of the text.

    Raises:
        IddmError: The page cannot be written.
    """
    from iddm_cli.display.evaluation import print_fidelities

    if document is not None:
        console.print_json({**document, "warnings": warnings})
    else:
        print_fidelities(title, results, warnings)
    if out is not None:
        from iddm_cli.display.html.fidelity_page import render_fidelity_page

        write_page(out, render_fidelity_page(page_title or title, results, warnings))
        console.print_note(f"report: {out}")
