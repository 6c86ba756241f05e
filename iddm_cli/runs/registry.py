"""The folder of runs: names that runs may have, new ones made, and those there are found."""

import contextlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from iddm_cli import durable
from iddm_cli.errors import RunError, UsageError, did_you_mean
from iddm_cli.runs.run import Run

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def resolve_runs_dir(option: Path | None) -> Path:
    """Return the runs dir: the option, $IDDM_RUNS_DIR, the user's config file, or ./runs."""
    if option is not None:
        return option
    if named := os.environ.get("IDDM_RUNS_DIR"):
        return Path(named)
    return _configured_runs_folder() or Path("runs")


def _configured_runs_folder() -> Path | None:
    from platformdirs import user_config_path

    path = user_config_path("iddm") / "config.yaml"
    if not os.path.lexists(path):
        return None
    from iddm_cli.profiles.strict_yaml import read_yaml

    document = read_yaml(path).data
    if document is None:
        return None
    named = document.get("runs_dir") if isinstance(document, dict) and len(document) == 1 else None
    if not isinstance(named, str):
        raise UsageError(f"{path}: the only setting here is runs_dir, a folder")
    try:
        return Path(named).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{path}: runs_dir: {error}") from error


def check_run_name(name: str) -> None:
    """Refuse names that could leave the runs dir, or that some system cannot store.

    Raises:
        UsageError: The name is not usable.
    """
    if not NAME.fullmatch(name) or name.endswith(".") or RESERVED.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a run",
            "Use up to 64 letters, digits, dots, dashes and underscores, a letter or digit first.",
        )


def check_runs_dir_writable(folder: Path) -> None:
    """Refuse a folder for runs that cannot be written to, or cannot be made.

    Raises:
        UsageError: Something stands in its way.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        problem = f"{there} is a file, so it cannot hold runs"
    elif not os.access(there, os.W_OK | os.X_OK):
        problem = f"nothing can be written in {there}"
    else:
        return
    raise UsageError(problem, "Choose another --runs-dir, or set $IDDM_RUNS_DIR.")


def check_name_free(folder: Path, name: str) -> None:
    """Refuse a name that is taken.

    Raises:
        RunError: There is such a run.
    """
    if (folder / name).exists():
        raise RunError(
            f"run {name} exists already in {folder}",
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
    """Make a new run folder, with all the files it begins with, or nothing.

    Args:
        folder: The runs dir.
        name: The run's name.
        files: Content of each file, by its path inside the run.
        folders: Folders inside it, besides those that every run has.
        large: Paths and contents of files that are made one after another.
        overwrite: Whether a run of that name is replaced, once the new one is written.
        steal: Whether it may be taken from a process on another machine.

    Raises:
        RunError: The name is taken, by a run that is being trained or by no run, or the folder
            cannot be made; what was there is still there.
    """
    check_run_name(name)
    run = Run(folder / name)
    inner = (run.samples_dir.name, run.checkpoints_dir.name, *folders)
    every = itertools.chain(files.items(), large)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _for_replacing(run, steal=steal) if overwrite else contextlib.nullcontext():
            durable.write_folder(run.path, every, inner, replace=overwrite)
    except FileExistsError:
        check_name_free(folder, name)
        raise RunError(f"{folder} is not a folder", "Choose another --runs-dir.") from None
    except OSError as error:
        raise RunError(
            f"cannot make the run folder {run.path}: {error.strerror}", "Choose another --runs-dir."
        ) from error
    return run


def make_run_name(folder: Path, stem: str) -> str:
    """Return a free name made of a stem and the time of day."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:40] or "run"
    base = f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    names = [base, *(f"{base}-{number}" for number in range(2, 1000))]
    return next(name for name in names if not (folder / name).exists())


@contextlib.contextmanager
def _for_replacing(run: Run, *, steal: bool) -> Iterator[None]:
    """Keep others from a run that is to be replaced, if there is one.

    Raises:
        RunError: The folder is no run, or is being trained.
    """
    if not run.path.exists():
        yield
        return
    if not (run.path / "run.json").is_file():
        raise RunError(f"{run.path} is not a run, so --overwrite leaves it alone")
    with run.lock.hold(steal=steal):
        yield


def list_runs(folder: Path) -> list[Run]:
    """Return the runs in a runs dir, the one last trained first.

    Raises:
        RunError: It cannot be looked into.
    """
    try:
        found = folder.glob("*/run.json") if folder.is_dir() else []
        manifests = [path for path in found if path.is_file()]
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} cannot be read: {error}") from error
    runs = [Run(path.parent) for path in manifests if not path.parent.name.startswith(".")]
    return sorted(runs, key=_last_trained, reverse=True)


def _last_trained(run: Run) -> str:
    try:
        return str(run.read_json("run.json").get("updated", ""))
    except RunError:
        return ""


def _whole(run: Run) -> Run:
    """Refuse a run of which nobody can tell how it was trained."""
    if not run.profile_path.exists():
        raise RunError(
            f"{run.path} is no usable run: profile.yaml is missing",
            "Put it back: the profile it was trained with, each setting written out.",
        )
    return run


def _is_run(path: Path) -> bool:
    try:
        return (path / "run.json").is_file()
    except (OSError, ValueError):  # a name too long or with a NUL, a folder not to be entered
        return False


def open_run(folder: Path, reference: str | None) -> Run:
    """Find a run by name or path; without one, the run last trained.

    Raises:
        RunError: There is no such run.
    """
    if reference is None:
        newest = list_runs(folder)[:1]
        if not newest:
            raise RunError(f"there is no run in {folder} yet", "Train one: iddm train")
        return newest[0]
    for path in (folder / reference, Path(reference)):
        if _is_run(path):
            return _whole(Run(path))
    known = [run.name for run in list_runs(folder)]
    listed = f"There are: {', '.join(known[:8])}." if known else "Train one: iddm train"
    raise RunError(f"no run {reference!r} in {folder}", did_you_mean(reference, known) or listed)
