"""Rendering of the page templates: every text is escaped, and a missing value is an error.

A page embeds its style, its plots (SVG) and its images (data: URLs), runs no script and loads
nothing.
"""

from functools import cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from iddm_cli import __version__


def render_template(name: str, **values: object) -> str:
    """Return a page; what is not valid Unicode in it, as in names of files, is escaped.

    Args:
        name: File name of the template in this folder.
        values: The variables of the template.
    """
    page = _environment().get_template(name).render(version=__version__, **values)
    return page.lstrip().encode(errors="backslashreplace").decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_read_template),
    )
    environment.filters["number"] = "{:,}".format
    environment.filters["percent"] = "{:.1%}".format
    environment.filters["code"] = mark_code
    return environment


def _read_template(name: str) -> str:
    return resources.files("iddm_cli.display.html").joinpath(name).read_text("utf-8")


def mark_code(text: str) -> Markup:
    """Return escaped HTML with `text in backticks` as code elements."""
    parts = (escape(part) for part in text.split("`"))
    marked = (Markup("<code>{}</code>").format(p) if i % 2 else p for i, p in enumerate(parts))
    return Markup("").join(marked)
