"""Images beside their references on a page: PSNR and SSIM, and the image that is lowest."""

from collections.abc import Sequence
from typing import Any

from iddm_cli.data.inspection.advice import pluralize
from iddm_cli.display.html.template import render_template
from iddm_cli.display.measures import find_measure, format_value
from iddm_cli.evaluation.pair_fidelity import Fidelity


def render_fidelity_page(title: str, fidelity: Fidelity, warnings: Sequence[str]) -> str:
    """Return a self-contained HTML page.

    Args:
        title: Name of the images.
        fidelity: How close they are to their references.
        warnings: What to know before the numbers are trusted, as sentences.
    """
    measures = [find_measure(key) for key in fidelity.numbers]
    return render_template(
        "fidelity.html.j2",
        title=title,
        fidelity=describe_fidelity(fidelity),
        warnings=warnings,
        measures=[(one.title, f"{one.summary[:1].upper()}{one.summary[1:]}.") for one in measures],
    )


def describe_fidelity(fidelity: Fidelity) -> dict[str, Any]:
    """Return the numbers as values of the templates."""
    return {
        "sentence": f"{pluralize(fidelity.count, 'image')} compared with those of the same names "
        f"in {fidelity.references}.",
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
