"""The runs directory: valid names, creating runs, and finding them."""

import contextlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from iddm_cli import durable
from iddm_cli.errors import RunError, UsageError, did_you_mean
from iddm_cli.machine.user_folders import user_config_folder
from iddm_cli.runs.recovery import recover_run, recover_runs
from iddm_cli.runs.run import Run
from iddm_cli.storage.space import can_write

VALID_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

RESERVED_NAME = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names of devices on Windows, where no file can have them."""


def resolve_runs_dir(option: Path | None) -> Path:
    """Return the runs directory: the option, $IDDM_RUNS_DIR, the user's config, or ./runs.

    Raises:
        UsageError: The user's config file is invalid.
    """
    if option is not None:
        return option
    if named := os.environ.get("IDDM_RUNS_DIR"):
        return Path(named)
    return _read_configured_runs_dir() or Path("runs")


def _read_configured_runs_dir() -> Path | None:
    folder = user_config_folder()
    if folder is None or not os.path.lexists(folder / "config.yaml"):
        return None
    from iddm_cli.profiles.strict_yaml import read_yaml

    path = folder / "config.yaml"
    document = read_yaml(path).data
    if document is None:
        return None
    named = document.get("runs_dir") if isinstance(document, dict) and len(document) == 1 else None
    if not isinstance(named, str):
        raise UsageError(f"{path}: the only setting of this file is runs_dir, a folder")
    try:
        return Path(named).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{path}: runs_dir: {error}") from error


def check_run_name(name: str) -> None:
    """Check that a name stays inside the runs directory and is valid on every operating system.

    Raises:
        UsageError: The name is not valid.
    """
    if not VALID_NAME.fullmatch(name) or name.endswith(".") or RESERVED_NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid run name",
            "Use up to 64 letters, digits, dots, dashes and underscores, a letter or digit first.",
        )


def check_runs_dir_writable(folder: Path) -> None:
    """Check that a runs directory is writable, or can be created.

    Raises:
        UsageError: The folder is a file or not writable.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        problem = f"{existing} is a file, so it cannot hold runs"
    elif not can_write(existing):
        problem = f"{existing} is not writable"
    else:
        return
    raise UsageError(problem, "Choose another --runs-dir, or set $IDDM_RUNS_DIR.")


def check_name_free(folder: Path, name: str) -> None:
    """Check that no run has this name.

    Raises:
        RunError: A run of this name exists.
    """
    if (folder / name).exists() and durable.is_complete(folder / name):
        raise RunError(
            f"run {name} already exists in {folder}",
            f"Continue it with: iddm resume {name}. Or choose another --name, or --overwrite.",
        )


def create_run(
    folder: Path,
    name: str,
    files: Mapping[str, bytes],
    *,
    folders: Sequence[str] = (),
    large: Iterable[tuple[str, bytes]] = (),
    overwrite: bool = False,
    steal: bool = False,
) -> Run:
    """Create a run folder with all its initial files, or nothing.

    Args:
        folder: The runs directory.
        name: Name of the run.
        files: Content of each file, by its path inside the run.
        folders: Folders inside the run, besides those that every run has.
        large: Path and content of large files, created one at a time.
        overwrite: Whether to replace a run of that name, once the new one is written.
        steal: Whether to take the lock of that run from a process on another machine.

    Raises:
        RunError: The name is taken by a run that is being trained, or by another folder, or the
            run cannot be created; an existing run is left unchanged.
    """
    check_run_name(name)
    run = Run(folder / name)
    inner = (run.samples_dir.name, run.checkpoints_dir.name, *folders)
    contents = itertools.chain(files.items(), large)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock_for_replacing(run, steal=steal) if overwrite else contextlib.nullcontext():
            durable.write_folder(run.path, contents, inner, replace=overwrite)
    except FileExistsError:
        check_name_free(folder, name)
        raise RunError(f"{folder} is not a folder", "Choose another --runs-dir.") from None
    except OSError as error:
        raise RunError(
            f"cannot create the run folder {run.path}: {error.strerror}",
            "Choose another --runs-dir.",
        ) from error
    return run


def make_run_name(folder: Path, stem: str) -> str:
    """Return an unused name made of a stem and the current time."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:40] or "run"
    base = f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    names = [base, *(f"{base}-{number}" for number in range(2, 1000))]
    return next(name for name in names if not (folder / name).exists())


@contextlib.contextmanager
def _lock_for_replacing(run: Run, *, steal: bool) -> Iterator[None]:
    """Hold the lock of a run that will be replaced, if the run exists.

    Raises:
        RunError: The folder is not a run, or is being trained.
    """
    if not run.path.exists():
        yield
        return
    if not (run.path / "run.json").is_file():
        raise RunError(f"{run.path} is not a run, so --overwrite does not replace it")
    with run.lock.hold(steal=steal):
        yield


def list_runs(folder: Path) -> list[Run]:
    """Return the runs of a runs directory, the most recently trained first.

    Raises:
        RunError: The folder cannot be read.
    """
    recover_runs(folder)
    try:
        found = folder.glob("*/run.json") if folder.is_dir() else []
        manifests = [path for path in found if path.is_file()]
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} cannot be read: {error}") from error
    named = [path.parent for path in manifests if not path.parent.name.startswith(".")]
    runs = [Run(path) for path in named if durable.is_complete(path)]
    return sorted(runs, key=_read_updated, reverse=True)


def _read_updated(run: Run) -> str:
    try:
        return str(run.read_json("run.json").get("updated", ""))
    except RunError:
        return ""


def _check_has_profile(run: Run) -> Run:
    if not run.profile_path.exists():
        raise RunError(
            f"{run.path} is not a valid run: profile.yaml is missing",
            "Restore the profile.yaml that the run was trained with.",
        )
    return run


def _is_run(path: Path) -> bool:
    try:
        return (path / "run.json").is_file() and durable.is_complete(path)
    except (
        OSError,
        ValueError,
    ):  # the name is too long or has a NUL, or the folder is not accessible
        return False


def open_run(folder: Path, reference: str | None) -> Run:
    """Return a run by its name or path; without a reference, the most recently trained one.

    Raises:
        RunError: The run does not exist.
    """
    if reference is None:
        newest = list_runs(folder)[:1]
        if not newest:
            raise RunError(f"there is no run in {folder} yet", "Train one: iddm train")
        return newest[0]
    for path in (folder / reference, Path(reference)):
        recover_run(path)
        if _is_run(path):
            return _check_has_profile(Run(path))
    known = [run.name for run in list_runs(folder)]
    listed = f"There are: {', '.join(known[:8])}." if known else "Train one: iddm train."
    hint = did_you_mean(reference, known) or listed
    raise RunError(
        f"no run {reference!r} in {folder}", f"{hint} Runs in another folder: --runs-dir FOLDER."
    )


def check_runs_dir(folder: Path) -> None:
    """Check that a runs directory is a folder, or does not exist yet.

    Raises:
        RunError: The path is a file, or cannot be read.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} is not a folder", "Choose another --runs-dir.")
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror}", "Choose another --runs-dir.") from error


def summarize_run(run: Run) -> dict[str, object]:
    """Return run.json with the name and the actual state of the run."""
    try:
        return {"name": run.name, **run.read_json("run.json"), "state": run.read_state()}
    except RunError:
        return {"name": run.name, "state": "damaged"}
