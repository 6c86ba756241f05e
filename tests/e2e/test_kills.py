"""Pulled plugs: whatever ends a training at whatever moment, it ends in the same bits.

IDDM_TEST_KILLS sets how many kills there are in all; 200 is the long form.
"""

import os
import random
import shutil
import signal
import time

import pytest

from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder

from .conftest import SMOKE, Shell
from .forks import Forks
from .test_resume import tensors
from .test_train import metrics

KILLS = int(os.environ.get("IDDM_TEST_KILLS", "5"))
STEPS = 40
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[: 3 if KILLS >= 100 else 1]
TRAIN = (*SMOKE, "--name", "one", "--steps", STEPS, "--set", "training.checkpoint_every=2",
         "--set", "training.log_every=1", "--set", "training.sample_every=20",
         "--set", "training.keep_every=20", "--set", "training.keep_best=loss")  # fmt: skip


@pytest.fixture(scope="module")
def forks(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("kills")
    served = Forks(folder, Shell(folder, cache).env)
    yield served
    served.close()


@pytest.fixture(scope="module")
def straight(forks):
    """The tensors of a run that nobody disturbed, and how long such a command takes."""
    began = time.monotonic()
    forks.iddm(*TRAIN)
    seconds = time.monotonic() - began
    run = forks.folder / "runs" / "one"
    return tensors(run, STEPS), seconds


@pytest.fixture
def run(forks):
    shutil.rmtree(forks.folder / "runs", ignore_errors=True)
    return forks.folder / "runs" / "one"


def interrupt(forks, words, seconds: float, *signals: int) -> int:
    """Start a command, send it signals after a while, and return how it ended."""
    pid = forks.start(*words)
    time.sleep(seconds)
    for number in signals:
        os.kill(pid, number)  # a zombie at worst: nobody has waited for it yet
        time.sleep(seconds / 20)
    return forks.wait(pid)


def words_to_go_on(run) -> tuple[str, ...]:
    """Return the command of somebody who finds a run as it was left."""
    return ("resume", "one") if run.exists() else TRAIN


def check_finished(run, wanted) -> None:
    found = tensors(run, STEPS)
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if found[name] != wanted[name]] == []
    steps = [row["step"] for row in metrics(run)]
    assert steps == list(range(1, STEPS + 1)), "every step stands in the metrics once"
    kept = [
        int(path.name.removeprefix("step-"))
        for path in CheckpointFolder(run / "checkpoints").paths()
    ]
    assert {20, 36, 38, 40} <= set(kept)
    assert len(kept) <= 5, "and the best"


@pytest.mark.timeout(3600)
def test_killed_at_random_moments_it_ends_in_the_same_bits(forks, straight, run):
    wanted, seconds = straight
    dice = random.Random(KILLS)
    killed = finished = 0
    while killed < KILLS:
        code = interrupt(forks, words_to_go_on(run), dice.uniform(0, seconds / 3), signal.SIGKILL)
        assert code in (-signal.SIGKILL, 0), (forks.folder / "out").read_text()
        killed += code == -signal.SIGKILL
        if code == 0:
            check_finished(run, wanted)
            finished += 1
            shutil.rmtree(run)
    forks.iddm(*words_to_go_on(run))
    check_finished(run, wanted)
    print(f"{killed} kills in {finished + 1} runs")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_while_saving_loses_nothing_older(forks, straight, run, number):
    wanted, seconds = straight
    dice = random.Random(number)
    forks.wait(forks.start(*TRAIN[:-6], "--max-time", "0s"))
    for _ in range(max(3, KILLS // 30)):
        code = interrupt(
            forks, ("resume", "one"), dice.uniform(seconds / 5, seconds / 2), number, number
        )
        assert code in (-number, 128 + number, 0), (forks.folder / "out").read_text()
        if (run / "checkpoints").exists() and any((run / "checkpoints").iterdir()):
            CheckpointFolder(run / "checkpoints").latest_valid()
    forks.iddm("resume", "one", "--set", "runtime.max_time=null")
    assert tensors(run, STEPS) == wanted


def test_of_twenty_that_start_at_once_one_trains(forks, straight, run):
    forks.iddm(*TRAIN, "--set", "runtime.max_time=0s")
    started = [
        forks.start("resume", "one", "--set", "runtime.max_time=null", out=f"out-{i}")
        for i in range(20)
    ]
    codes = [forks.wait(pid) for pid in started]
    said = [(forks.folder / f"out-{i}").read_text() for i in range(20)]
    assert all(code in (0, 4) for code in codes), said
    assert codes.count(0) >= 1
    refused = [text for text, code in zip(said, codes, strict=True) if code == 4]
    assert all("is being trained by process" in text for text in refused)
    trained = [text for text in said if "finished one" in text]
    assert len(trained) == 1, "the others found it locked, or done"
    check_finished(run, straight[0])
