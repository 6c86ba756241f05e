"""What all `iddm export` subcommands share: the --out option, the export and its report."""

from pathlib import Path
from typing import Any

from iddm_cli.commands import options
from iddm_cli.export.formats import EXPORT_FORMATS, ExportFormat
from iddm_cli.extras import require_extra
from iddm_cli.workflows.exporting import ExportRequest, ExportResult, export_model
from iddm_cli.workflows.models import find_model


def out_option(format_name: str) -> Any:
    """Return the --out option of a format."""
    export_format = EXPORT_FORMATS[format_name]
    kind = "folder" if export_format.folder_marker else "file"
    return options.option(
        "--out",
        help=f"Output {kind}. (default: RUN{export_format.suffix})",
        panel=options.OUTPUT,
        metavar=kind.upper(),
    )


def run_export(
    reference: str | None, runs_dir: Path | None, request: ExportRequest, *, json: bool
) -> None:
    """Export a run or an exported file, and report the result.

    Raises:
        IddmError: See `export_model`; or the format needs packages that are not installed.
    """
    if request.format.extra:
        require_extra(request.format.extra, request.format.packages)
    print_export(export_model(find_model(runs_dir, reference), request), request.format, json=json)


def print_export(result: ExportResult, export_format: ExportFormat, *, json: bool) -> None:
    """Print where the export is, and what the exporter measured."""
    from iddm_cli.display import console

    model, artifact = result.model, result.artifact
    for warning in artifact.warnings:
        console.print_warning(warning)
    if json:
        console.print_json(
            {
                "run": model.run,
                "step": model.step,
                "weights": model.weights,
                "format": export_format.name,
                "path": str(result.path),
                "classes": list(model.classes),
                **artifact.details,
            }
        )
        return
    console.print_result(str(result.path))
    usage = export_format.usage.format(path=result.path)
    if usage and model.profile.model.is_upscaler:
        usage = f"upscale images with: iddm upscale {result.path} FOLDER"
    if usage and model.profile.model.is_autoencoder:
        usage = f"train on its latents with: --set data.encoder={result.path}"
    notes = (f"step {model.step} of {model.run}", artifact.summary, usage)
    console.print_note("; ".join(note for note in notes if note))
