"""Every command on file systems that lack something: it works, and says once what is weaker."""

import json
import os
import shutil
import signal
import time

import httpx
import pytest
from PIL import Image

from iddm_cli.storage.features import FEATURES
from tests.e2e.conftest import SMOKE, Shell
from tests.e2e.forks import Forks
from tests.faults import weak

LONG = "x" * 120


class WeakShell:
    """A user's working folder on a weak file system, the cache included."""

    def __init__(self, folder, library) -> None:
        self.folder = folder
        env = Shell(folder, folder / "cache").env
        self.forks = Forks(folder, env | weak.preload(library, folder, weak.SMB))
        self.env = self.forks.env

    def weaken(self, calls: dict[str, int]) -> None:
        self.env = self.forks.env | weak.weaken(calls)

    def start(self, *words: object, out: str = "out") -> int:
        return self.forks.start(*words, out=out, env=self.env)

    def iddm(self, *words: object, expect: int = 0) -> str:
        """Run a command; return what it printed."""
        code = self.forks.wait(self.start(*words))
        printed = (self.folder / "out").read_text()
        assert code == expect, printed
        assert "Traceback" not in printed
        for clause in FEATURES.values():
            assert printed.count(clause) <= 1, printed
        return printed


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return weak.build_library(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def shell(tmp_path_factory, library):
    shell = WeakShell(tmp_path_factory.mktemp("weak"), library)
    weak.check_that_it_is_weak(weak.preload(library, shell.folder, weak.SMB))
    yield shell
    shell.forks.close()


@pytest.fixture(autouse=True)
def clean(shell):
    """Give each test an empty folder on the file system of the complaints."""
    for entry in shell.folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    shell.weaken(weak.SMB)


def wait_for(found, seconds: float = 120) -> object:
    """Wait until a function returns something."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


def list_litter(shell) -> list[str]:
    """Return the temporary files that are left, except the lock files."""
    marks = (".partial-", ".replaced-", ".incomplete", ".claim-")
    return [str(path) for path in shell.folder.rglob("*") if any(m in path.name for m in marks)]


def test_without_flushes_of_folders_and_without_locks(shell):
    run = shell.folder / "runs" / "first"
    train = (*SMOKE, "--name", "first", "--steps", 3000, "--set", "training.checkpoint_every=2")
    pid = shell.start(*train)
    wait_for(lambda: [*run.glob("checkpoints/step-*/state.json")])
    said = shell.iddm("resume", "first", expect=4)
    assert f"being trained by process {pid}" in said
    os.kill(pid, signal.SIGKILL)
    assert shell.forks.wait(pid) == -signal.SIGKILL
    made = max(int(path.name[5:]) for path in run.glob("checkpoints/step-*[0-9]"))
    resumed = shell.iddm("resume", "first", "--steps", made + 4)
    assert FEATURES["lock"] in resumed
    assert FEATURES["flush_folder"] in resumed
    assert "bit for bit" in resumed
    shell.iddm("generate", "first", "--count", 2, "--steps", 2, "--out", "new")
    assert len(json.loads((shell.folder / "new" / "manifest.json").read_text())["images"]) == 12
    shell.iddm("export", "safetensors", "first")
    assert "first" in shell.iddm("runs")
    assert list_litter(shell) == []
    check_server(shell)


def find_address(printed) -> str:
    """Return the address that a server has printed; "" before it has."""
    text = printed.read_text() if printed.exists() else ""
    addresses = [word for word in text.split() if word.startswith("http://")]
    return addresses[0].partition("#")[0].rstrip("/") if addresses and text.endswith("\n") else ""


def check_server(shell) -> None:
    """Serve the export, generate an image, and stop."""
    pid = shell.start("serve", "first.safetensors", "--port", 0, out="served")
    url = wait_for(lambda: find_address(shell.folder / "served"))
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        wait_for(lambda: client.get("/ready").status_code == 200)
        query = {"class": "scratches", "count": 1, "steps": 2}
        assert len(client.post("/v1/images", json=query).json()["images"]) == 1
    os.kill(pid, signal.SIGTERM)
    assert shell.forks.wait(pid) == 143


@pytest.mark.parametrize("lacks", [weak.EVERYTHING, weak.NO_RENAMES], ids=["everything", "renames"])
def test_where_much_is_missing(shell, lacks):
    for number, name in enumerate(("a:b", "Cat", "cat", LONG, "dog.")):
        folder = shell.folder / "set" / name
        folder.mkdir(parents=True)
        Image.new("RGB", (16, 16), (40 * number, 90, 0)).save(folder / "1.png")
        Image.new("RGB", (16, 16), (40 * number, 90, 200)).save(folder / "2.png")
    shell.weaken(lacks)
    train = (*SMOKE, "--data", "set", "--name", "first", "--steps", 4)
    shell.iddm(*train, "--set", "training.checkpoint_every=2")
    assert "bit for bit" in shell.iddm("resume", "first", "--steps", 5)
    shell.iddm("generate", "first", "--count", 1, "--steps", 2, "--out", "new")
    manifest = json.loads((shell.folder / "new" / "manifest.json").read_text())
    assert len(manifest["images"]) == 5
    assert all((shell.folder / "new" / name).is_file() for name in manifest["images"])
    shell.iddm("export", "safetensors", "first")
    shell.iddm("export", "safetensors", "first", "--overwrite")
    shell.iddm("import", "first.safetensors", "--name", "second")
    shell.iddm(*train, "--overwrite")
    shell.iddm("inspect-dataset", "set", "--out", "report")
    listed = json.loads(shell.iddm("runs", "--json").partition("{")[2].join(["{", ""]))
    assert {run["name"]: run["state"] for run in listed["runs"]} == {
        "first": "finished",
        "second": "imported",
    }
    shell.iddm("cache", "clear")
    assert list_litter(shell) == []
