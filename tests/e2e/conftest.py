"""Drives the `iddm` command the way a user does.

`Shell.start` starts the installed command. `Shell.iddm` runs it in a process forked from one that
has loaded PyTorch already, which spares each of some hundred commands seconds of imports.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from .forks import Forks

IDDM = shutil.which("iddm", path=str(Path(sys.executable).parent)) or shutil.which("iddm")
SMOKE = ("train", "--profile", "smoke")


@dataclass
class Answer:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    def json(self) -> dict:
        return json.loads(self.out)


class ForkedCommand:
    """A running command that was forked, with the methods of subprocess.Popen."""

    def __init__(self, server: Forks, folder: Path, env: dict[str, str], *words: str) -> None:
        self.server = server
        self.folder = tempfile.TemporaryDirectory()
        self.printed = [Path(self.folder.name, name) for name in ("out", "err")]
        out, err = map(str, self.printed)
        place = {"folder": str(folder), "env": env, "out": out, "err": err}
        self.pid = server.start(*words, **place, alone=True)
        self.returncode: int | None = None

    def communicate(self, timeout: float) -> list[str]:
        """Wait for its end, and return what it printed to stdout and stderr."""
        until = time.monotonic() + timeout
        while (code := self.server.poll(self.pid)) is None:
            assert time.monotonic() < until, f"still running: {self.printed[1].read_text()}"
            time.sleep(0.02)
        self.returncode = code
        return [path.read_text() for path in self.printed]

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


class Shell:
    """A user's working folder, with caches and settings of its own."""

    server: Forks | None = None

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.env = {
            **os.environ,
            "IDDM_CACHE_DIR": str(cache),
            "XDG_CONFIG_HOME": str(folder / ".config"),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "100",
            "TERM": "dumb",
        }
        self.env.pop("IDDM_RUNS_DIR", None)

    def start(self, *words: str) -> subprocess.Popen:
        assert IDDM, "the iddm command is not installed; pip install -e '.[test]'"
        return subprocess.Popen(
            [IDDM, *map(str, words)],
            cwd=self.folder,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def fork(self, *words: str) -> ForkedCommand:
        """Start a command as `iddm` does, and return while it runs."""
        return ForkedCommand(self.get_server(), self.folder, self.env, *words)

    def get_server(self) -> Forks:
        """Return the process that the commands of all shells of this class are forked from."""
        shell = type(self)
        if shell.server is None:
            shell.server = Forks(self.folder, self.env)
        return shell.server

    def iddm(self, *words: str, expect: int | None = 0) -> Answer:
        server = self.get_server()
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            place = {"folder": str(self.folder), "env": self.env, "err": str(err)}
            code = server.wait(server.start(*words, out=str(out), **place))
            answer = Answer(code, out.read_text(), err.read_text())
        err = answer.err
        assert "Traceback" not in err, err
        assert expect is None or answer.code == expect, f"{answer.code}: {err}\n{answer.out}"
        return answer

    def imported(self, *words: str) -> set[str]:
        """Return the modules that a command imports, in a process of its own."""
        code = (
            "import sys, iddm_cli.main as m; sys.argv[0] = 'iddm'\n"
            "try: m.main()\n"
            "finally: print('\\nIMPORTED', *sorted(sys.modules), file=sys.stderr)"
        )
        asked = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        return set(asked.stderr.rsplit("IMPORTED", 1)[1].split())


@pytest.fixture(scope="session", autouse=True)
def no_server_is_left():
    """End the process that commands are forked from."""
    yield
    if Shell.server is not None:
        Shell.server.close()


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def shell(tmp_path, cache) -> Shell:
    folder = tmp_path / "work"
    folder.mkdir()
    return Shell(folder, cache)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cache) -> Shell:
    """A folder in which one small run, named `first`, has been trained; not to be changed."""
    shell = Shell(tmp_path_factory.mktemp("trained"), cache)
    shell.iddm(*SMOKE, "--name", "first")
    return shell


def draw_folder(folder: Path, names: dict[str, int], *, mode: str = "RGB", size=(20, 24)) -> Path:
    """Write small random pictures: how many for each sub-folder, "" being the folder itself."""
    dice = random.Random(0)
    for name, count in names.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image = Image.new("RGB", size)
            image.putdata(
                [tuple(dice.randrange(256) for _ in "rgb") for _ in range(size[0] * size[1])]
            )
            image.convert(mode).save(folder / name / f"{index}.png")
    return folder
