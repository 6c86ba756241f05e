"""Many processes through the command: spawned and under torchrun, killed, stopped and resumed."""

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from .conftest import SMOKE, ForkedCommand, Shell

KILLS = int(os.environ.get("IDDM_TEST_KILLS", "2"))
STEPS = 60
PAIR = ("--device", "cpu", "--devices", "2")
TRAIN = (
    *SMOKE, "--steps", str(STEPS), "--set", "training.checkpoint_every=4",
    "--set", "training.log_every=1", "--set", "training.sample_count=0",
    "--set", "runtime.timeout=30",
)  # fmt: skip


def digest(run: Path) -> str:
    """Digest the weights, average and optimizer of a finished run."""
    last = run / "checkpoints" / f"step-{STEPS:08d}"
    content = b"".join((last / f"{part}.safetensors").read_bytes() for part in PARTS)
    return hashlib.sha256(content).hexdigest()


PARTS = ("model", "average", "optimizer")


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def wait_for_step(run: Path, step: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        lines = (run / "metrics.jsonl").read_bytes() if (run / "metrics.jsonl").exists() else b""
        if lines.count(b"\n") >= step:
            return
        time.sleep(0.02)
    raise AssertionError(f"never came to step {step}")


def members(process: ForkedCommand) -> list[psutil.Process]:
    """The processes of a group, by rank: its children that were spawned, the oldest first."""
    children = psutil.Process(process.pid).children(recursive=True)
    group = [one for one in children if "--multiprocessing-fork" in one.cmdline()]
    return sorted(group, key=lambda one: (one.create_time(), one.pid))


def wait_for_members(process: ForkedCommand) -> None:
    until = time.monotonic() + 60
    while len(members(process)) < 2:
        assert time.monotonic() < until, "they never came"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def torchrun(shell: Shell, *words: str, more: tuple[str, ...] = ()) -> subprocess.Popen:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}", *more,
        "-m", "iddm_cli", *words,
    ]  # fmt: skip
    return subprocess.Popen(
        command,
        cwd=shell.folder,
        env=shell.env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache) -> Shell:
    """A folder in which `pair` was trained by two processes without a break."""
    shell = Shell(tmp_path_factory.mktemp("whole"), cache)
    shell.iddm(*TRAIN, *PAIR, "--name", "pair")
    return shell


def test_spawned_or_under_torchrun_it_is_the_same_run(whole, shell):
    process = torchrun(shell, *TRAIN, "--name", "pair")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert out.strip().endswith("runs/pair"), "one of them speaks"
    ours, theirs = shell.folder / "runs" / "pair", whole.folder / "runs" / "pair"
    assert digest(ours) == digest(theirs)
    manifest = json.loads((ours / "run.json").read_text())
    assert (manifest["state"], manifest["world_size"]) == ("finished", 2)


def test_after_kills_of_any_rank_the_bits_are_those_of_a_run_without(whole, shell):
    """Each time some rank is killed, and another number of processes may go on for a while."""
    dice = random.Random(4)
    run = shell.folder / "runs" / "pair"
    command = (*TRAIN, *PAIR, "--name", "pair")
    for kill in range(KILLS):
        process = shell.fork(*command)
        done = len(rows(run)) if run.exists() else 0
        if done < STEPS - 10:
            wait_for_step(run, done + dice.randrange(1, 8))
        else:  # too little is left to be met in the middle: while it starts
            wait_for_members(process)
            time.sleep(dice.random())
        victim = members(process)[dice.randrange(2)]
        victim.kill()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1, err
        assert "was ended by SIGKILL" in err
        assert "Traceback" not in err
        assert json.loads((run / "run.json").read_text())["state"] == "failed"
        assert not victim.is_running()
        command = ("resume", "pair", *PAIR)
        if kill == 0:
            assert "process 0" in err or "process 1" in err
    shell.iddm(*command)
    assert digest(run) == digest(whole.folder / "runs" / "pair")
    assert [row["step"] for row in rows(run)] == list(range(1, STEPS + 1))


def test_resumed_with_another_number_of_processes(whole, shell):
    run = shell.folder / "runs" / "pair"
    process = shell.fork(*TRAIN, *PAIR, "--name", "pair")
    wait_for_step(run, 10)
    members(process)[1].kill()
    process.communicate(timeout=60)
    answer = shell.iddm("resume", "pair", "--devices", "1")
    assert "not bit for bit: world_size 2 → 1" in answer.err
    before = rows(whole.folder / "runs" / "pair")
    for ours, theirs in zip(rows(run), before, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4), "the same data and noise"


@pytest.mark.parametrize(
    ("whom", "number"),
    [("parent", signal.SIGTERM), ("member", signal.SIGTERM), ("group", signal.SIGINT)],
)
def test_a_signal_to_anyone_stops_all_after_the_same_step(shell, whom, number):
    process = shell.fork(*TRAIN, "--steps", "5000", *PAIR, "--name", "pair")
    run = shell.folder / "runs" / "pair"
    wait_for_step(run, 5)
    workers = members(process)
    match whom:
        case "parent":
            process.send_signal(number)
        case "member":
            workers[1].send_signal(number)
        case "group":
            os.killpg(process.pid, number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, err
    assert "continue with: iddm resume pair" in err
    manifest = json.loads((run / "run.json").read_text())
    assert manifest["state"] == "interrupted"
    newest = max((run / "checkpoints").glob("step-*"))
    assert newest.name == f"step-{manifest['step']:08d}"
    assert psutil.wait_procs(workers, timeout=5)[1] == []


def test_a_team_is_asked_for_a_checkpoint_or_left_by_its_terminal(shell):
    process = shell.fork(*TRAIN, "--steps", "5000", "--set", "training.checkpoint_every=5000",
                         *PAIR, "--name", "pair")  # fmt: skip
    run = shell.folder / "runs" / "pair"
    wait_for_step(run, 3)
    process.send_signal(signal.SIGUSR1)
    until = time.monotonic() + 30
    while not list((run / "checkpoints").glob("step-*")):
        assert time.monotonic() < until, "nothing was saved"
        time.sleep(0.05)
    wait_for_step(run, len(rows(run)) + 5)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 129, err
    assert "saving after this step; training continues" in err
    assert "continue with: iddm resume pair" in err


def test_the_time_of_a_team_is_up_for_all_at_once(shell):
    answer = shell.iddm(*TRAIN, "--steps", "5000", *PAIR, "--name", "pair", "--max-time", "1s")
    assert "the time is up" in answer.err
    assert json.loads((shell.folder / "runs" / "pair" / "run.json").read_text())["step"] < 5000


def test_no_process_outlives_the_parent(shell):
    process = shell.start(*TRAIN, "--steps", "5000", *PAIR, "--name", "pair")
    wait_for_step(shell.folder / "runs" / "pair", 5)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=20)
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    assert "killed" in shell.iddm("runs").out


def test_torchrun_starts_a_failed_team_again_and_it_goes_on(whole, shell):
    process = torchrun(shell, *TRAIN, "--name", "pair", more=("--max-restarts", "2"))
    run = shell.folder / "runs" / "pair"
    wait_for_step(run, 10)
    children = psutil.Process(process.pid).children()
    ranks = [one for one in children if "iddm_cli" in one.cmdline()]
    ranks[-1].kill()
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "resumed at step" in err
    assert digest(run) == digest(whole.folder / "runs" / "pair")


def test_processes_with_other_settings_do_not_train_together(shell):
    """Each would make its own updates of the same gradients, and their weights would part."""
    shell.env |= {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    both = []
    for rank, lr in ((0, "0.1"), (1, "0.2")):
        shell.env["RANK"] = str(rank)
        both.append(shell.fork(*TRAIN, "--name", "pair", "--set", f"training.lr={lr}"))
    errors = [process.communicate(timeout=100)[1] for process in both]
    assert [process.returncode for process in both] == [2, 2], errors
    problem = "process 1 has other settings than process 0: training.lr 0.2, not 0.1"
    assert all(problem in error for error in errors), errors


def test_a_team_that_is_started_again_takes_no_other_run_for_its_own(shell):
    """What the first start was refused, another run of that name, is refused at each."""
    run = shell.folder / "runs" / "pair"
    shell.iddm(*SMOKE, "--name", "pair", "--steps", "1")
    before = (run / "profile.yaml").read_bytes()
    shell.env |= {
        "RANK": "0", "WORLD_SIZE": "1", "TORCHELASTIC_RESTART_COUNT": "1",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
    }  # fmt: skip
    answer = shell.iddm(*SMOKE, "--name", "pair", "--steps", "2", expect=4)
    assert "run pair already exists" in answer.err
    assert (run / "profile.yaml").read_bytes() == before
    assert "has made all its 1 steps" in shell.iddm(*SMOKE, "--name", "pair", "--steps", "1").err
    shell.iddm(*SMOKE, "--name", "pair", "--steps", "2", "--overwrite")
    assert rows(run)[-1]["step"] == 2


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--devices", "4"), "PyTorch sees no GPU here"),
        (("--devices", "0,2"), "PyTorch sees no GPU here"),
        (("--devices", "0"), "at least one device is needed"),
        (("--devices", "two"), "is not a list of devices"),
        (("--device", "cpu", "--devices", "0,1"), "there is only one CPU"),
        (("--device", "cpu", "--devices", "9"), "cannot be divided among 9 processes"),
    ],
)
def test_devices_that_are_not_there(shell, words, problem):
    for more in ((), ("--dry-run",)):
        answer = shell.iddm(*SMOKE, *words, *more, expect=2)
        assert problem in answer.err
    assert not (shell.folder / "runs").exists()
