"""Export a trained model: check the output path, load the model, build the export, write it."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli import durable
from iddm_cli.errors import RunError, UsageError
from iddm_cli.export.formats import ExportArtifact, ExportFormat
from iddm_cli.workflows import models
from iddm_cli.workflows.latents.own_encoder import load_latent_space
from iddm_cli.workflows.latents.refusal import check_generates
from iddm_cli.workflows.sampling.guiding import find_guiding_model
from iddm_cli.workflows.sampling.sampling_profile import load_sampling_profile
from iddm_cli.workflows.tuning.tuned_models import read_optional_tables, select_tables

if TYPE_CHECKING:
    from iddm_cli.export.trained_model import TrainedModel
    from iddm_cli.profiles.profile import ResolvedProfile

CHOOSE_OUT = "Choose another --out."


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and where to.

    Attributes:
        format: The format.
        sampling: Sampling options that override the profile, by what they override.
        checkpoint: Step of the checkpoint, or best; None: the latest valid one.
        guide_with: The weaker model of autoguidance, see `guiding.parse_guide`.
        runs_dir: Folder of all runs, for guide_with; None: the usual one.
        out: Output path; None: the format's default name.
        overwrite: Whether to replace an earlier export.
        variant: What the default name adds to the run's name.
        options: The format's own options, by the exporter's parameter names.
    """

    format: ExportFormat
    sampling: Mapping[str, object]
    checkpoint: models.CheckpointChoice = None
    guide_with: str | None = None
    runs_dir: Path | None = None
    out: Path | None = None
    overwrite: bool = False
    variant: str = ""
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportResult:
    """A finished export: the model, where it was written, and what the exporter measured."""

    model: "TrainedModel"
    path: Path
    artifact: ExportArtifact


def export_model(source: models.ModelSource, request: ExportRequest) -> ExportResult:
    """Export a trained model; nothing is computed unless the output path is usable.

    Raises:
        IddmError: An option is invalid, the weights are missing or damaged, the model has no
            equivalent in the format, or the export cannot be written.
    """
    path = resolve_output(source.name, request)
    model = load_model(source, request)

    from iddm_cli.display.progress import show_spinner

    exporter = request.format.load_exporter()
    artifact = exporter(model, progress=show_spinner, **request.options)
    write_artifact(path, artifact)
    return ExportResult(model, path, artifact)


def resolve_output(run: str, request: ExportRequest) -> Path:
    """Return the output path.

    Raises:
        UsageError: It exists, or cannot be written.
    """
    suffix = request.format.suffix
    path = request.out or request.format.default_path(run, request.variant)
    if request.format.fixed_suffix and path.suffix != suffix:
        raise UsageError(f"--out {path}: its name must end in {suffix}", f"Name it {path}{suffix}.")
    if request.format.folder_marker:
        marker = request.format.folder_marker
        check_output_folder(path, marker=marker, overwrite=request.overwrite)
    else:
        check_output_file(path, overwrite=request.overwrite)
    return path


def load_model(source: models.ModelSource, request: ExportRequest) -> "TrainedModel":
    """Load a model with some sampling settings changed, and the one that guides it.

    Raises:
        IddmError: A setting is invalid, or the weights are missing or damaged.
    """
    profile = load_sampling_profile(
        source,
        dict(request.sampling),
        autoguided=request.guide_with is not None,
        upscales=None,
    )
    _check_expressible(source, profile, request.format)
    saved = source.open_weights(request.checkpoint, profile.sampling.weights)
    guide = find_guiding_model(request.guide_with, source, profile, saved, request.runs_dir)

    from iddm_cli.build.exporting import load_trained_model

    provenance = source.load_provenance(saved.step)
    select_tables(source, profile, saved, guide.name if guide else "")  # warns
    model = load_trained_model(
        source.name,
        profile,
        source.classes,
        saved,
        provenance,
        source.values,
        tables=read_optional_tables(source, profile, request.format.without_tables),
        latents=load_latent_space(source, profile),
    )
    if guide is None:
        return model
    weaker = guide.load_denoiser(model.denoiser.schedule.alpha.device)
    return replace(model, weaker=weaker, guide_with=guide.name)


def _check_expressible(
    source: models.ModelSource, profile: "ResolvedProfile", form: ExportFormat
) -> None:
    """Check that a format can hold a model of this kind.

    Raises:
        UsageError: It cannot.
    """
    name = source.reference
    others = (
        f"Export it for onnxruntime: iddm export onnx {name}. Or for iddm: iddm export "
        f"safetensors {name}"
    )
    if not form.takes_autoencoders:
        check_generates(profile, name)
    if profile.model.is_upscaler and not form.upscales:
        raise UsageError(
            f"{name} upscales images, which an export as {form.name} cannot hold",
            others,
        )
    if profile.data.crop_position and not form.takes_positions:
        raise UsageError(
            f"{name} was trained on the positions of crops (data.crop_position), which an export "
            f"as {form.name} cannot hold",
            others,
        )
    if profile.data.encoder is not None and not form.holds_decoder:
        raise UsageError(
            f"{name} was trained on latents, and an export as {form.name} cannot hold their "
            "decoder",
            others,
        )


def check_output_file(path: Path, *, overwrite: bool) -> None:
    """Check that a file can be written, and would replace nothing unless `overwrite`.

    Raises:
        UsageError: It exists, is not a regular file, or cannot be written.
    """
    if _exists(path):
        if path.is_dir():
            raise UsageError(f"--out {path} is a folder", "Name a file inside it.")
        if not path.is_file() and not path.is_symlink():
            raise UsageError(f"--out {path} is not a regular file", CHOOSE_OUT)
        if not overwrite:
            raise _exists_error(path)
    _check_writable(path)


def check_output_folder(path: Path, *, marker: str, overwrite: bool) -> None:
    """Check that a folder can be written, and would replace nothing unless `overwrite`.

    Args:
        path: The folder.
        marker: A file that shows that the folder is an export, and may be replaced.
        overwrite: Whether an export may be replaced.

    Raises:
        UsageError: It is not empty, is not an export, or cannot be written.
    """
    if not path.name:
        raise UsageError(f"--out {path} has no name of its own", "Name a folder inside it.")
    if not _exists(path) or _is_empty_folder(path) or not durable.is_complete(path):
        _check_writable(path)
        return
    if not overwrite:
        raise _exists_error(path)
    if not (path / marker).is_file():
        raise UsageError(f"--out {path} is not an export: --overwrite keeps it", CHOOSE_OUT)
    _check_writable(path)


def _exists_error(path: Path) -> UsageError:
    return UsageError(
        f"--out {path} already exists", "Choose another --out, or --overwrite to replace it."
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()
    except (OSError, ValueError) as error:  # the name is too long, has a NUL, or is below a file
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"--out {path}: {reason}", CHOOSE_OUT) from error


def _is_empty_folder(path: Path) -> bool:
    try:
        return path.is_dir() and not any(path.iterdir())
    except OSError as error:
        raise UsageError(f"--out {path}: {error.strerror}", CHOOSE_OUT) from error


def _check_writable(path: Path) -> None:
    from iddm_cli.runs.registry import check_runs_dir_writable

    try:
        check_runs_dir_writable(path.absolute().parent)
    except UsageError as error:
        raise UsageError(f"--out {path}: {error.problem}", CHOOSE_OUT) from error


def write_artifact(path: Path, artifact: ExportArtifact) -> None:
    """Write an export, all of it or nothing.

    Raises:
        RunError: It cannot be written, or the disk failed afterwards; the hint says what is there.
    """
    content = artifact.content
    created = [folder for folder in path.absolute().parents if not folder.exists()]
    before = _describe_file(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            durable.write_file(path, content)
        else:
            inner = sorted({Path(name).parts[0] for name in content if "/" in name})
            durable.write_folder(path, content.items(), inner, replace=True)
    except durable.UnflushedError as error:
        raise RunError(
            f"{path} is written, but the disk failed to flush it: {error.strerror}",
            "The export is complete, but a power cut may lose it. Check the disk.",
        ) from error
    except OSError as error:
        for folder in created:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()
        left = [*durable.find_leftovers(path), *(folder for folder in created if folder.exists())]
        if _describe_file(path) != before:
            left.append(path)
        names = ", ".join(map(str, left))
        raise RunError(
            f"{path} cannot be written: {error.strerror or error}",
            f"Remove what is left: {names}" if left else "Nothing was left behind.",
        ) from error


def _describe_file(path: Path) -> tuple[int, int] | None:
    """Return size and time of a file, by which a change shows; None if there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns
