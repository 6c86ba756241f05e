"""What all exports share: the model they are made of, and where they are written."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.errors import RunError, UsageError
from iddm_cli.workflows import models

if TYPE_CHECKING:
    from iddm_cli.export.trained_model import TrainedModel

HINT = "Choose another --out."
MARK = "model_index.json"
"""What shows that a folder is an export, and may be replaced."""


def load(
    model: models.ModelSource, given: dict[str, object], checkpoint: int | None
) -> "TrainedModel":
    """Load a model as the options want it.

    Raises:
        IddmError: An option cannot be followed, or there are no such weights.
    """
    profile = models.load_sampling_profile(model, given)
    saved = model.open_weights(checkpoint, profile.sampling.weights)

    from iddm_cli.build.exporting import load_model

    return load_model(model.name, profile, model.classes, saved, model.load_provenance(saved.step))


def check_file(path: Path, *, overwrite: bool) -> None:
    """Refuse to write over a file, or where nothing can be written.

    Raises:
        UsageError: It is there, or cannot be made.
    """
    if _exists(path):
        if path.is_dir():
            raise UsageError(f"--out {path} is a folder", "Name a file inside it.")
        if not path.is_file() and not path.is_symlink():
            raise UsageError(f"--out {path} is no file, and is not replaced by one", HINT)
        if not overwrite:
            raise _taken(path)
    _check_writable(path)


def check_folder(path: Path, *, overwrite: bool) -> None:
    """Refuse to write over a folder, or where nothing can be written.

    Raises:
        UsageError: There is something in it, or it cannot be made.
    """
    if not path.name:
        raise UsageError(f"--out {path} has no name of its own", "Name a folder inside it.")
    if not _exists(path) or _is_empty_folder(path):
        _check_writable(path)
        return
    if not overwrite:
        raise _taken(path)
    if not (path / MARK).is_file():
        raise UsageError(f"--out {path} is no export, so --overwrite leaves it alone", HINT)
    _check_writable(path)


def _taken(path: Path) -> UsageError:
    return UsageError(
        f"--out {path} is there already", "Choose another --out, or --overwrite to replace it."
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()
    except (OSError, ValueError) as error:  # a name too long or with a NUL, a file in the way
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"--out {path}: {reason}", HINT) from error


def _is_empty_folder(path: Path) -> bool:
    try:
        return path.is_dir() and not any(path.iterdir())
    except OSError as error:
        raise UsageError(f"--out {path}: {error.strerror}", HINT) from error


def _check_writable(path: Path) -> None:
    from iddm_cli.runs.registry import check_runs_dir_writable

    try:
        check_runs_dir_writable(path.absolute().parent)
    except UsageError as error:
        raise UsageError(f"--out {path}: {error.problem}", HINT) from error


def write_file(path: Path, content: bytes) -> None:
    """Write an export that is one file, all of it or nothing.

    Raises:
        RunError: It cannot be written.
    """
    from iddm_cli import durable

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_file(path, content)
    except OSError as error:
        raise _unwritten(path, error) from error


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write an export that is a folder, all of it or nothing.

    Raises:
        RunError: It cannot be written.
    """
    from iddm_cli import durable

    inner = sorted({Path(name).parts[0] for name in files if "/" in name})
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        durable.write_folder(folder, files.items(), inner, replace=True)
    except OSError as error:
        raise _unwritten(folder, error) from error


def _unwritten(path: Path, error: OSError) -> RunError:
    return RunError(f"{path} cannot be written: {error.strerror}", "Nothing of it was left behind.")


def tell(
    model: "TrainedModel", form: str, path: Path, note: str, *, as_json: bool, **more: object
) -> None:
    """Print where the export is, and what else there is to say of it."""
    from iddm_cli.display import console

    if as_json:
        console.print_json(
            {
                "run": model.run,
                "step": model.step,
                "weights": model.weights,
                "format": form,
                "path": str(path),
                "classes": list(model.classes),
                **more,
            }
        )
        return
    console.print_result(str(path))
    console.print_note(f"step {model.step} of {model.run}; {note}")
