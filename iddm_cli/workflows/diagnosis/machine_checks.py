"""Checks of the machine that need no PyTorch: Python, cores, memory, folders, extras."""

import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from iddm_cli import __version__
from iddm_cli.machine import cpus, memory
from iddm_cli.storage.space import can_write, free_bytes
from iddm_cli.workflows.diagnosis.findings import Finding

LEAST_MEMORY = 2e9
"""Bytes of free memory below which only the smallest networks can be trained."""

LEAST_DISK = 2e9
"""Bytes of free space below which checkpoints of ordinary networks may not fit."""

PACKAGE = "iddm-cli"


def check_python() -> Finding:
    """Check which Python runs which iddm."""
    facts = {"iddm": __version__, "python": platform.python_version(), "system": sys.platform}
    text = f"iddm {__version__}, Python {platform.python_version()}, {platform.platform()}"
    return Finding("ok", text, facts=facts)


def check_cores() -> Finding:
    """Check how many cores this process may use."""
    visible, usable, quota = cpus.count_visible_cores(), cpus.count_cores(), cpus.read_quota()
    text = f"{usable} of {visible} cores"
    if quota is not None:
        text += f"; the container or job allows {quota:.3g}"
    return Finding("ok", text, facts={"cores": usable, "visible_cores": visible, "quota": quota})


def check_memory() -> Finding:
    """Check how much memory this process may use."""
    free, total = memory.free_memory(), memory.total_memory()
    text = f"{free.free / 1e9:.3g} of {total.total / 1e9:.3g} GB free in {total.source}"
    facts = {"free_bytes": free.free, "total_bytes": total.total}
    if free.free >= LEAST_MEMORY:
        return Finding("ok", text, facts=facts)
    return Finding("warning", text, "Close other programs, or raise the limit.", facts)


def check_folder(folder: Path) -> Finding:
    """Check that a folder can be written to, or be created, and how much space it has."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        return Finding("failed", "its path is a file", "Choose another folder.")
    if not can_write(existing):
        return Finding("failed", "it cannot be written to", "Choose another folder.")
    free = free_bytes(existing)
    missing = "" if existing == folder.absolute() or folder.exists() else "does not exist yet, "
    if free is None:
        return Finding("ok", f"{missing}writable; the file system does not report its free space")
    facts = {"free_bytes": free}
    text = f"{missing}writable, {free / 1e9:.3g} GB free"
    if free >= LEAST_DISK:
        return Finding("ok", text, facts=facts)
    return Finding("warning", text, "Free some space, or choose another folder.", facts)


def check_runs_dir() -> Finding:
    """Check the folder of runs."""
    from iddm_cli.runs.registry import resolve_runs_dir

    return check_folder(resolve_runs_dir(None))


def check_cache_folder() -> Finding:
    """Check the folder of the cache."""
    from iddm_cli.data.cache import cache_folder

    return check_folder(cache_folder())


def check_extras() -> Finding:
    """Check which optional packages are installed."""
    try:
        required = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return Finding("warning", f"{PACKAGE} is not installed as a package", "Run: pip install .")
    wanted = group_extras(required)
    missing = {
        extra: absent
        for extra, names in wanted.items()
        if (absent := [name for name in names if not is_installed(name)])
    }
    installed = [extra for extra in wanted if extra not in missing]
    text = f"installed: {', '.join(installed) or 'none'}"
    if missing:
        text += f"; not installed: {', '.join(missing)}"
    commands = [f"pip install '{PACKAGE}[{extra}]'" for extra in missing]
    advice = f"If you need them: {'; '.join(commands)}" if commands else ""
    return Finding("ok", text, advice, {"installed": installed, "missing": list(missing)})


def group_extras(required: list[str]) -> dict[str, list[str]]:
    """Return the packages of each extra for users, of a distribution's requirements."""
    extras: dict[str, list[str]] = {}
    for line in required:
        found = re.match(r"([A-Za-z0-9._-]+)[^;]*;.*extra == ['\"]([^'\"]+)['\"]", line)
        if found and found[2] not in ("test", "dev"):
            extras.setdefault(found[2], []).append(found[1])
    return extras


def is_installed(name: str) -> bool:
    """Return whether a distribution is installed."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def read_nvidia_driver() -> str:
    """Return the version of NVIDIA's driver; "" where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    query = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        shown = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return shown.stdout.split("\n")[0].strip() if shown.returncode == 0 else ""
