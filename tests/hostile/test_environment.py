"""Restricted environments: closed streams, odd terminals and locales, read-only folders."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import IDDM, Answer, Shell, draw_folder

CAPABILITIES = "-dac_override,-dac_read_search"
# Permissions do not restrict root, unless it drops the capabilities to bypass them.
BOUND = f"setpriv --bounding-set={CAPABILITIES} --inh-caps={CAPABILITIES}"
FULL = "error: the output cannot be written: No space left on device"


def run(shell: Shell, command: str, code: int = 0, **changes: str | None) -> Answer:
    """Run a command line with the installed `iddm`; None unsets a variable."""
    env = {key: value for key, value in (shell.env | changes).items() if value is not None}
    asked = subprocess.run(
        ["bash", "-c", f'set -o pipefail; iddm() {{ {IDDM} "$@"; }}; {command}'],
        cwd=shell.folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=100,
        check=False,
    )
    answer = Answer(
        asked.returncode,
        asked.stdout.decode(errors="replace"),
        asked.stderr.decode(errors="replace"),
    )
    assert "Traceback" not in answer.out + answer.err, answer
    assert "a bug in iddm" not in answer.out + answer.err, answer
    assert "Exception ignored" not in answer.err, answer
    assert answer.code == code, answer
    return answer


def works(command: str) -> bool:
    """Return whether a command works on this system."""
    asked = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    return asked.returncode == 0


needs_bounds = pytest.mark.skipif(
    os.geteuid() == 0 and not works(f"{BOUND} true"), reason="root keeps its capabilities here"
)
needs_mounts = pytest.mark.skipif(not works("unshare -m true"), reason="mounting is not permitted")


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("--help >/dev/full", 1, FULL),
        ("--help | true", 0, ""),
        ("profiles >/dev/full", 1, FULL),
        ("profiles schema >/dev/full", 1, FULL),
        ("profiles schema >/dev/full 2>&1", 1, ""),
        ("profiles schema >&-", 0, ""),
        ("profiles schema <&- >&- 2>&-", 0, ""),
        ("profiles schema | true", 0, ""),
        ("profiles schema 2>&1 | head -n 1", 0, None),
        ("profiles schema 2>&-", 0, None),
        ("profiles schema 2>/dev/full", 0, None),
    ],
)
def test_closed_full_and_unread_streams(shell, command, code, said):
    answer = run(shell, f"iddm {command}", code)
    if said is None:
        assert answer.out != ""
    else:
        assert (answer.out, answer.err.strip()) == ("", said)


@pytest.mark.parametrize("streams", ["2>&-", ">/dev/full", "| true"])
def test_a_usage_error_has_its_exit_code_whatever_the_streams(shell, streams):
    run(shell, f"iddm runs --no-such-option {streams}", 2)
    run(shell, f"iddm runs --no-such-option --json {streams}", 2)


def test_a_full_disk_behind_stdout_is_reported(shell, trained):
    """The command completes nevertheless, and a full stderr is not a failure."""
    draw_folder(shell.folder / "set", {"a": 2})
    runs = ("--runs-dir", trained.folder / "runs")
    commands = [
        ("inspect-dataset", "set"),
        ("inspect-dataset", "set", "--json"),
        ("generate", "first", *runs, "--count", "1", "--steps", "1", "--out", "new", "--overwrite"),
        ("train", "--profile", "smoke", "--steps", "2"),
    ]
    place = {"folder": str(shell.folder), "env": shell.env}
    for command in commands:
        outcomes = []
        for full in ("out", "err"):
            place |= {"out": str(shell.folder / "o"), "err": str(shell.folder / "e")}
            place[full] = "/dev/full"
            outcomes.append(Shell.server.wait(Shell.server.start(*command, **place)))
            if full == "out":
                assert FULL in (shell.folder / "e").read_text()
        assert outcomes == [1, 0], command
    listed = shell.iddm("runs", "--json").json()["runs"]
    assert [run["state"] for run in listed] == ["finished", "finished"]


@pytest.mark.parametrize(
    "changes",
    [
        {"COLUMNS": "20", "TERM": "dumb", "NO_COLOR": "1", "LC_ALL": "C"},
        {"COLUMNS": "0", "LINES": "0"},
        {"COLUMNS": "²"},
        {"COLUMNS": "9" * 5000},
        {"COLUMNS": None, "TERM": None, "HOME": None, "XDG_CONFIG_HOME": None},
        {"TERM": "no-such-terminal", "FORCE_COLOR": "1"},
        {"LC_ALL": "no_SUCH", "LANG": "x", "COLUMNS": "1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "utf-16"},
    ],
    ids=lambda changes: " ".join(f"{k}={v}"[:20] for k, v in changes.items()),
)
def test_any_terminal_and_locale(shell, changes):
    assert "smoke" in run(shell, "iddm profiles", **changes).out.replace("\0", "")


def test_training_continues_with_closed_streams_and_an_ascii_locale(shell):
    draw_folder(shell.folder / "set", {"猫": 3, "狗": 3})
    plain = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "COLUMNS": "20"}
    train = "iddm train --profile smoke --data set --steps 2 --name left"
    first_line = run(shell, f"{train} 2>&1 >&- <&- | head -n 1", **plain).out
    assert len(first_line.splitlines()) == 1
    assert shell.iddm("runs", "--json").json()["runs"][0]["state"] == "finished"
    shell.iddm("generate", "left", "--class", "猫", "--count", "1", "--out", "new")
    assert (shell.folder / "new" / "猫" / "猫-000000.png").is_file()


def test_characters_outside_the_locale_are_escaped(shell):
    draw_folder(shell.folder / "set", {"猫": 2})
    plain = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    assert "\\u732b" in run(shell, "iddm inspect-dataset set", **plain).out
    assert run(shell, "iddm resume 猫", 4, **plain).err.startswith("error: no run '\\u732b'")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("inspect-dataset", "set"), 0, ""),
        (("cache",), 0, "is empty"),
        (("cache", "clear"), 0, "removed 0"),
        (("train", "--profile", "smoke"), 3, "IDDM_CACHE_DIR"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_unusable_cache_folder(shell, words, code, said):
    draw_folder(shell.folder / "set", {"a": 2})
    file = shell.folder / "file"
    file.touch()
    del shell.env["IDDM_CACHE_DIR"]
    for place in (file, "/proc/cache") if words[0] != "inspect-dataset" else (file,):
        shell.env["XDG_CACHE_HOME"] = str(place)
        assert said in shell.iddm(*words, expect=code).err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("runs", "--runs-dir", "file"), 4, "file is not a folder"),
        (("runs", "--runs-dir", "file/x"), 0, "no runs in file/x yet"),
        (("runs", "--runs-dir", "not/there"), 0, "no runs in not/there yet"),
        (("runs", "--runs-dir", "x" * 5000), 4, "File name too long"),
        (("generate", "--runs-dir", "file"), 4, "file"),
        (("generate", "--runs-dir", "not/there"), 4, "there is no run in not/there yet"),
        (("inspect-dataset", "set", "--out", "file"), 3, "--out file"),
        (("inspect-dataset", "set", "--out", "file/x"), 3, "--out file/x"),
        (("inspect-dataset", "set", "--out", "x" * 5000), 3, "File name too long"),
        (("inspect-dataset", "x" * 5000), 2, "data.path must be shorter text"),
        (("inspect-dataset", "M\udcfcller"), 2, "data.path must be text in UTF-8"),
        (("profiles", "copy", "demo", "file/x"), 2, "cannot write file/x"),
        (("profiles", "copy", "demo", "not/there"), 2, "cannot write not/there"),
        (("profiles", "copy", "demo", "x" * 5000), 2, "File name too long"),
        (("profiles", "show", "/dev/zero"), 2, "/dev/zero is not a file"),
    ],
)
def test_unusable_paths(shell, words, code, said):
    draw_folder(shell.folder / "set", {"a": 2})
    (shell.folder / "file").touch()
    answer = shell.iddm(*words, expect=code)
    assert answer.err.startswith("error: ") == (code != 0)
    assert said in answer.err


@needs_bounds
@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("cache", 3, "cannot be read: Permission denied"),
        ("cache clear", 3, "cannot be read: Permission denied"),
        ("profiles", 0, ""),
        ("profiles show locked/x", 2, "no profile"),
        ("profiles copy demo locked/x", 2, "cannot write locked/x: Permission denied"),
        ("inspect-dataset locked", 3, "locked"),
        ("inspect-dataset demo --out locked/x", 3, "--out locked/x"),
    ],
)
def test_inaccessible_folders(shell, command, code, said):
    locked = shell.folder / "locked"
    locked.mkdir(mode=0)
    bound = BOUND if os.geteuid() == 0 else ""
    places = {"IDDM_CACHE_DIR": str(locked), "XDG_CONFIG_HOME": str(locked)}
    answer = run(shell, f"{bound} {IDDM} {command}", code, **places)
    assert said in answer.err


@needs_mounts
def test_no_writable_temporary_folder(shell):
    """The fork server of the decoding processes needs one; without, this process decodes."""
    draw_folder(shell.folder / "set", {"a": 2})
    tie = "mount --bind $d $d; mount -o remount,ro,bind $d"
    mount = f"mount --bind . /mnt; for d in /tmp /var/tmp; do {tie}; done"
    inspect = f"cd /proc; exec {IDDM} inspect-dataset /mnt/set"
    answer = run(shell, f"unshare -m bash -c '{mount}; {inspect}'", TMPDIR="/proc")
    assert "without worker processes" in answer.err
    assert "set TMPDIR" in answer.err


CONTAINER_USER = "setpriv --reuid=12345 --regid=12345 --clear-groups --inh-caps=+dac_override"
CONTAINER_USER += " --ambient-caps=+dac_override"  # the tests' own folders belong to root
needs_users = pytest.mark.skipif(
    not works(f"{CONTAINER_USER} true"), reason="this user cannot become another one"
)
TRAIN = f"{IDDM} train --profile smoke --data set --steps 2 --name first"


@pytest.fixture
def open_folder():
    """A folder to which every user may write, as its parents are open to all."""
    folder = Path(tempfile.mkdtemp(prefix="iddm-test-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@needs_mounts
@needs_users
def test_a_container_without_home_user_shared_memory_and_threads(shell, open_folder):
    """Training works, and says what is weaker."""
    shell.folder = draw_folder(open_folder / "set", {"a": 2}).parent
    for name in ("IDDM_CACHE_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "USER", "LOGNAME", "HOME"):
        shell.env.pop(name, None)
    # Only this bind mount becomes read-only, not the file system of all processes.
    mount = "mount --bind /dev/shm /dev/shm; mount -o remount,ro,bind /dev/shm"
    train = f"exec {CONTAINER_USER} prlimit --nproc=1 {TRAIN} --set data.cache=off"
    answer = run(shell, f"unshare -m bash -c '{mount}; {train}'", TMPDIR=str(shell.folder))
    assert "there is no home folder" in answer.err
    assert "IDDM_CACHE_DIR" in answer.err
    assert "without worker processes" in answer.err
    assert "finished first" in answer.err
    assert (shell.folder / "iddm-12345" / "packs").is_dir()


@pytest.mark.skipif(not works("prlimit --version"), reason="prlimit is not installed")
@pytest.mark.parametrize(
    ("limit", "code", "told"),
    [
        ("--fsize=3000", 3, "no file may be larger than 3,000 bytes (ulimit -f)"),
        ("--as=1500000000", 1, "PyTorch does not fit the memory that this process may use: 1.50"),
        ("--nofile=9", 3, "may not open more than 9 files (ulimit -n)"),
    ],
)
def test_the_limit_that_stops_a_training_is_named(shell, limit, code, told):
    draw_folder(shell.folder / "set", {"a": 9})
    del shell.env["IDDM_CACHE_DIR"]
    cache = {"IDDM_CACHE_DIR": str(shell.folder / "cache")}
    answer = run(shell, f"prlimit {limit} {TRAIN}", code, **cache)
    assert told in answer.err
    assert "Raise the limit" in answer.err


def remove_group(folder: Path) -> None:
    """Remove a control group; its last processes, the program's helpers, may still be ending."""
    for _ in range(100):
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.1)
        else:
            return


GROUPS = "/sys/fs/cgroup/memory"


@pytest.mark.skipif(
    not works(f"mkdir {GROUPS}/iddm-test && rmdir {GROUPS}/iddm-test"),
    reason="this process cannot create control groups of version 1",
)
def test_a_control_group_bounds_the_memory_of_a_training(shell):
    draw_folder(shell.folder / "set", {"a": 2})
    group = f"{GROUPS}/iddm-test-{os.getpid()}"
    enter = f"mkdir {group}; echo 1G >{group}/memory.limit_in_bytes; echo $$ >{group}/cgroup.procs"
    plan = f"{TRAIN.removesuffix(' --name first')} --batch-size 9000 --dry-run"
    try:
        answer = run(shell, f"bash -c '{enter}; exec {plan}'", 2)
    finally:
        remove_group(Path(group))
    assert "GB of memory, and the container or job (cgroup) has" in answer.err
    assert "--set training.micro_batch=" in answer.err


@needs_mounts
def test_runs_on_a_read_only_disk(shell, trained):
    shutil.copytree(trained.folder / "runs", shell.folder / "runs")
    mount = "mount -t tmpfs t /mnt; cp -r runs /mnt; mount -o remount,ro /mnt"
    answer = run(shell, f"unshare -m bash -c '{mount}; exec {IDDM} runs --runs-dir /mnt/runs'")
    assert "finished" in answer.out
