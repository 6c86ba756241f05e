"""Images beside their references on a page: PSNR and SSIM, and the image that is lowest."""

from collections.abc import Sequence
from typing import Any

from iddm_cli.data.inspection.advice import pluralize
from iddm_cli.display.html.template import render_template
from iddm_cli.display.measures import find_measure, format_value
from iddm_cli.evaluation.pair_fidelity import Fidelity


def render_fidelity_page(
    title: str, results: Sequence[tuple[str, Fidelity]], warnings: Sequence[str]
) -> str:
    """Return a self-contained HTML page.

    Args:
        title: Heading of the page.
        results: Title and numbers of each way of making the images; at least one.
        warnings: What to know before the numbers are trusted, as sentences.
    """
    first = results[0][1]
    measures = [find_measure(key) for key in first.numbers]
    return render_template(
        "fidelity.html.j2",
        title=title,
        sentence=describe_fidelity(first)["sentence"],
        results=[(name, describe_fidelity(one)) for name, one in results],
        warnings=warnings,
        measures=[(one.title, f"{one.summary[:1].upper()}{one.summary[1:]}.") for one in measures],
    )


def describe_fidelity(fidelity: Fidelity) -> dict[str, Any]:
    """Return the numbers as values of the templates."""
    return {
        "sentence": f"{pluralize(fidelity.count, 'image')} compared with their references "
        f"({fidelity.references}).",
        "rows": [
            {
                "title": find_measure(key).title,
                "value": format_value(number.value),
                "count": f"{number.count:,}",
                "lowest": format_value(getattr(fidelity.lowest[key], key)),
                "image": fidelity.lowest[key].name,
            }
            for key, number in fidelity.numbers.items()
        ],
    }
