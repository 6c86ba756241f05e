"""Resuming: whatever ended a run, it goes on to the weights it would have had.

Kills at random moments are in test_kills.py.
"""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from .conftest import SMOKE, Shell, draw_folder
from .test_train import metrics

LONG = (*SMOKE, "--steps", "80", "--set", "training.checkpoint_every=2",
        "--set", "training.log_every=1", "--set", "training.sample_every=20")  # fmt: skip


def tensors(run, step: int) -> dict[str, bytes]:
    """Return every tensor of a checkpoint as bytes."""
    folder = run / "checkpoints" / f"step-{step:08d}"
    return {
        f"{path.stem}/{name}": array.tobytes()
        for path in folder.glob("*.safetensors")
        for name, array in load_file(path).items()
    }


def wait_for_training(run, process) -> None:
    """Wait until a started command is in its training loop."""
    log = run / "log.txt"
    seen = log.read_text().count("training from") if log.exists() else 0
    while process.poll() is None:
        if log.exists() and log.read_text().count("training from") > seen:
            return
        time.sleep(0.005)


@pytest.fixture(scope="module")
def straight(tmp_path_factory, cache):
    """The weights of a run that nobody disturbed, and its time in the training loop."""
    from .conftest import Shell

    shell = Shell(tmp_path_factory.mktemp("straight"), cache)
    process = shell.start(*LONG, "--name", "one")
    wait_for_training(shell.folder / "runs" / "one", process)
    begun = time.monotonic()
    process.communicate(timeout=200)
    assert process.returncode == 0
    return tensors(shell.folder / "runs" / "one", 80), time.monotonic() - begun


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["ctrl-c", "sigterm", "sighup"],
)
def test_a_signal_saves_and_says_how_to_go_on(shell, straight, number, code):
    run = shell.folder / "runs" / "one"
    process = shell.start(*LONG, "--name", "one")
    wait_for_training(run, process)
    time.sleep(straight[1] / 4)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "iddm resume one" in err
    assert "Traceback" not in err
    manifest = json.loads((run / "run.json").read_text())
    assert manifest["state"] == "interrupted"
    assert (run / "checkpoints" / f"step-{manifest['step']:08d}").is_dir()
    assert "bit for bit" in shell.iddm("resume").err
    assert tensors(run, 80) == straight[0]


def test_sigusr1_saves_and_training_goes_on(shell, straight):
    run = shell.folder / "runs" / "one"
    process = shell.start(*LONG, "--set", "training.checkpoint_every=1000", "--name", "one")
    wait_for_training(run, process)
    time.sleep(straight[1] / 8)
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "saving after this step; training continues" in err
    steps = [int(path.name[5:]) for path in (run / "checkpoints").iterdir()]
    assert len(steps) == 2, "the one asked for, and the last"
    assert tensors(run, 80) == straight[0]


def test_time_that_is_up_saves_and_ends_well(shell, straight):
    first = shell.iddm(*LONG, "--name", "one", "--max-time", "0s")
    assert "the time is up; saved step 1 of 80" in first.err
    run = shell.folder / "runs" / "one"
    assert json.loads((run / "run.json").read_text())["state"] == "interrupted"
    shell.iddm("resume", "one", "--max-time", "1h")
    assert tensors(run, 80) == straight[0]


def test_a_run_locked_by_another_machine_is_taken_by_force_only(shell):
    shell.iddm(*SMOKE, "--name", "one", "--max-time", "0s")
    record = shell.folder / "runs" / "one" / "lock.json"
    record.write_text('{"pid": 12, "host": "elsewhere", "boot": "x", "started": 1.0}')
    answer = shell.iddm("resume", "one", expect=4)
    assert "process 12 on elsewhere" in answer.err
    assert "--steal-lock" in answer.err
    shell.iddm("resume", "one", "--steal-lock", "--max-time", "1h")
    assert not record.exists()


def test_a_damaged_checkpoint_is_told_and_the_one_before_it_used(shell):
    shell.iddm(*SMOKE, "--name", "one")
    run = shell.folder / "runs" / "one"
    wanted = tensors(run, 10)
    damaged = run / "checkpoints" / "step-00000010" / "average.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-5] ^= 1
    damaged.write_bytes(content)
    answer = shell.iddm("resume", "one")
    assert "SHA-256" in answer.err
    assert "set aside, using step-00000005" in answer.err
    assert tensors(run, 10) == wanted
    assert (run / "checkpoints" / "step-00000010.damaged-1").is_dir()


def test_a_finished_run_is_left_alone_and_can_be_extended(shell):
    shell.iddm(*SMOKE, "--name", "one", "--set", "training.lr_schedule=constant")
    assert "has made all its 10 steps" in shell.iddm("resume", "one").err
    shell.iddm("resume", "one", "--steps", "14")
    run = shell.folder / "runs" / "one"
    shell.iddm(*SMOKE, "--name", "straight", "--steps", "14",
               "--set", "training.lr_schedule=constant")  # fmt: skip
    assert tensors(run, 14) == tensors(shell.folder / "runs" / "straight", 14)


def test_an_extension_after_a_decay_keeps_the_low_rate_whatever_interrupts_it(shell):
    def rates(run):
        return {row["step"]: row["lr"] for row in metrics(run)}

    every = ("--set", "training.log_every=1")
    shell.iddm(*SMOKE, "--name", "one", *every)
    runs = shell.folder / "runs"
    shutil.copytree(runs / "one", runs / "two")
    shell.iddm("resume", "one", "--steps", "20", "--max-time", "0s")
    answer = shell.iddm("resume", "one", "--max-time", "1h")
    assert "bit for bit" in answer.err
    extended = shell.iddm("resume", "two", "--steps", "20").err
    assert "resumed at step 10 of 20" in extended
    assert "constant to step 20" in extended
    assert "--set training.lr_extension=rewarm" in extended
    last = rates(runs / "two")[10]
    assert all(0 < lr <= last for step, lr in rates(runs / "two").items() if step > 10)
    assert tensors(runs / "one", 20) == tensors(runs / "two", 20)
    # The profile alone says it all: a new run of it reaches the same weights.
    shell.iddm("train", "--profile", runs / "one" / "profile.yaml", "--name", "three")
    assert tensors(runs / "three", 20) == tensors(runs / "two", 20)


def test_changed_settings_are_listed_with_what_they_do(shell):
    shell.iddm(*SMOKE, "--name", "one", "--max-time", "0s")
    changes = ("--set", "training.batch_size=4", "--set", "training.optimizer=adam",
               "--set", "sampling.guidance=1.5")  # fmt: skip
    said = shell.iddm("resume", "one", *changes, "--max-time", "0s").err
    assert "not bit for bit: training.batch_size 8 → 4, training.optimizer adamw → adam" in said
    assert "every update takes 4 images from now on" in said
    assert "moments are kept" in said
    assert "without effect on the weights: sampling.guidance 2.0 → 1.5" in said
    again = shell.iddm("resume", "one", "--max-time", "0s").err
    assert "bit for bit" in again
    assert "not bit for bit" not in again
    assert "→" not in again


@pytest.mark.parametrize(
    "fewer",
    [("--steps", "5"), ("--set", "training.epochs=1", "--set", "training.batch_size=1000")],
    ids=["steps", "batch"],
)
def test_a_run_does_not_end_before_where_it_has_come_to(shell, fewer):
    shell.iddm(*SMOKE, "--name", "one", "--steps", "6")
    profile = shell.folder / "runs" / "one" / "profile.yaml"
    before = profile.read_bytes()
    answer = shell.iddm("resume", "one", *fewer, expect=2)
    assert "has made 6 steps, and the settings allow" in answer.err
    assert profile.read_bytes() == before


def test_a_changed_dataset_is_refused(shell):
    folder = draw_folder(shell.folder / "set", {"cat": 5, "dog": 4})
    shell.iddm(*SMOKE, "--data", folder, "--name", "one", "--steps", "2")
    (folder / "cat" / "0.png").unlink()
    answer = shell.iddm("resume", "one", "--steps", "4", expect=3)
    assert "there were 9, there are 8" in answer.err


@pytest.mark.parametrize("data", ["set", "set.zip"])
def test_a_run_goes_on_from_any_folder(shell, data):
    folder = draw_folder(shell.folder / "set", {"cat": 5, "dog": 4})
    shutil.make_archive(str(folder), "zip", folder)
    shell.iddm(*SMOKE, "--data", data, "--name", "one", "--steps", "1")
    elsewhere = Shell(shell.folder / "elsewhere", Path(shell.env["IDDM_CACHE_DIR"]))
    elsewhere.folder.mkdir()
    elsewhere.iddm("resume", "../runs/one", "--steps", "2")


def test_what_the_weights_depend_on_cannot_change(shell, trained):
    runs = ("--runs-dir", trained.folder / "runs")
    answer = shell.iddm("resume", "first", *runs, "--set", "model.base_channels=16", expect=2)
    assert "model.base_channels cannot change" in answer.err


def test_a_run_is_trained_by_one_process_at_a_time(shell):
    run = shell.folder / "runs" / "one"
    process = shell.start(*SMOKE, "--name", "one", "--steps", "100000")
    wait_for_training(run, process)
    answer = shell.iddm("resume", "one", expect=4)
    assert f"process {process.pid}" in answer.err
    assert shell.iddm("runs", "--json").json()["runs"][0]["state"] == "running"
    process.kill()
    process.communicate()
    assert shell.iddm("runs", "--json").json()["runs"][0]["state"] == "killed"


def test_a_dataset_that_moved_is_named_by_a_setting_and_continues_bit_for_bit(shell):
    folder = draw_folder(shell.folder / "set", {"cat": 5, "dog": 4})
    shell.iddm(*SMOKE, "--data", folder, "--name", "one", "--steps", "2")
    shutil.copytree(shell.folder / "runs" / "one", shell.folder / "runs" / "stayed")
    shell.iddm("resume", "stayed", "--steps", "3")
    moved = folder.rename(shell.folder / "elsewhere")
    answer = shell.iddm("resume", "one", "--steps", "3", expect=3)
    assert "the images of run one are missing" in answer.err
    assert "iddm resume one --set data.path=NEW" in answer.err
    folder.mkdir()  # as where a disk is not mounted
    answer = shell.iddm("resume", "one", "--steps", "3", expect=3)
    assert "iddm resume one --set data.path=NEW" in answer.err
    answer = shell.iddm("resume", "one", "--steps", "3", "--set", "data.path=elsewhere")
    assert "bit for bit" in answer.err
    assert "without effect on the weights: data.path" in answer.err
    assert moved.name in answer.err
    runs = shell.folder / "runs"
    assert tensors(runs / "one", 3) == tensors(runs / "stayed", 3)
    (moved / "cat" / "4.png").unlink()
    answer = shell.iddm("resume", "one", "--steps", "4", expect=3)
    assert "there were 9, there are 8 now: cat 5 → 4" in answer.err
    # Runs that were moved, or renamed, resume as well.
    (runs / "one").rename(shell.folder / "two")
    draw_folder(moved, {"cat": 5, "dog": 4})
    assert "bit for bit" in shell.iddm("resume", "two", "--steps", "4").err
