"""HTML pages as output files of commands: `--out FILE.html`."""

from pathlib import Path

from iddm_cli import durable
from iddm_cli.errors import IddmError, UsageError
from iddm_cli.workflows.exporting import check_output_file

PAGE_SUFFIXES = (".html", ".htm")


def check_page(path: Path, *, overwrite: bool) -> None:
    """Check that a page can be written, and would replace nothing unless `overwrite`.

    Raises:
        UsageError: The file has another suffix, exists, or cannot be written.
    """
    if path.suffix.lower() not in PAGE_SUFFIXES:
        raise UsageError(f"--out {path} is not the name of a page", "Name it report.html.")
    check_output_file(path, overwrite=overwrite)


def write_page(path: Path, page: str) -> None:
    """Write a page, with the folders above it.

    Raises:
        IddmError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_file(path, page.encode())
    except OSError as error:
        raise IddmError(f"--out {path}: {error.strerror}", "Choose another --out.") from error
