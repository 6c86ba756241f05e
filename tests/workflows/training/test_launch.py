"""Launching a training: refused early, and only where all processes agree."""

from dataclasses import replace

import pytest

from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.errors import DatasetError, RunError, UsageError
from iddm_cli.runs.registry import create_run
from iddm_cli.workflows.training.job import JobOptions
from iddm_cli.workflows.training.launch import (
    check_can_start,
    check_same_dataset,
    check_same_settings,
)
from tests.build.profiles import tiny_profile
from tests.workflows.packs import make_pack


class FirstProcess(ProcessGroup):
    """A group as process 0 sees it; it keeps what it broadcasts, and what process 1 sends."""

    def __init__(self, of_second: str = "") -> None:
        super().__init__(0, 2)
        self.__dict__ |= {"of_second": of_second, "sent": []}

    def broadcast(self, value):
        self.sent.append(value)
        return value

    def gather_object(self, value):
        return [value, self.of_second]


class SecondProcess(ProcessGroup):
    """A group as process 1 sees it: process 0 sends something, then the first problem."""

    def __init__(self, of_main: object) -> None:
        super().__init__(1, 2)
        self.__dict__ |= {"coming": [of_main]}

    def broadcast(self, value):
        return self.coming.pop(0)

    def gather_object(self, value):
        self.coming.append(value)
        return []


def settings_of(profile) -> dict[str, object]:
    """Return what process 0 broadcasts."""
    group = FirstProcess()
    check_same_settings(group, profile)
    return group.sent[0]


def test_other_settings_of_a_process_are_named():
    main = settings_of(tiny_profile(training={"lr": 0.5}))
    with pytest.raises(UsageError, match=r"process 1 has other .*: training.lr 0.25, not 0.5$"):
        check_same_settings(SecondProcess(main), tiny_profile(training={"lr": 0.25}))


def test_a_problem_of_one_process_is_raised_in_all():
    with pytest.raises(UsageError, match=r"^process 1 has other settings$"):
        check_same_settings(FirstProcess("process 1 has other settings"), tiny_profile())
    with pytest.raises(DatasetError, match=r"^process 1 reads others$"):
        check_same_dataset(FirstProcess("process 1 reads others"), make_pack())


def test_processes_may_compute_and_read_images_in_their_own_ways():
    main = settings_of(tiny_profile())
    own = tiny_profile(runtime={"device": "cpu", "threads": 3})
    workers = own.model_copy(update={"data": own.data.model_copy(update={"workers": 7})})
    check_same_settings(SecondProcess(main), workers)


@pytest.mark.parametrize("changes", [{"digest": "other"}, {"labels": (0, 1)}])
def test_processes_must_read_the_same_images(changes):
    pack = make_pack()
    read = (pack.digest, None), pack.count
    check_same_dataset(SecondProcess(read), pack)
    check_same_dataset(SINGLE_PROCESS, pack)
    with pytest.raises(DatasetError, match="process 1 reads"):
        check_same_dataset(SecondProcess(read), make_pack(**changes))
    with pytest.raises(DatasetError, match="process 1 reads"):
        check_same_dataset(SecondProcess(read), replace(pack, held_out=make_pack()))


def test_a_taken_name_is_refused_but_for_overwriting_and_restarting(tmp_path):
    create_run(tmp_path, "one", {"profile.yaml": b"", "run.json": b"{}"})
    options = JobOptions(tmp_path, name="one")
    with pytest.raises(RunError, match="one"):
        check_can_start(options, is_restart=False)
    check_can_start(options, is_restart=True)
    check_can_start(replace(options, overwrite=True), is_restart=False)
    check_can_start(replace(options, may_exist=True), is_restart=False)
    check_can_start(replace(options, name="two"), is_restart=False)


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"name": None}, "without a name"), ({"overwrite": True}, "--overwrite would replace")],
)
def test_a_command_that_is_started_again_must_continue_its_run(tmp_path, options, problem):
    given = {"name": "one", **options}
    with pytest.raises(UsageError, match=problem):
        check_can_start(JobOptions(tmp_path, may_exist=True, **given), is_restart=True)


def test_a_run_that_is_being_trained_is_not_resumed(tmp_path):
    run = create_run(tmp_path, "one", {"profile.yaml": b"", "run.json": b"{}"})
    options = JobOptions(tmp_path, resumed=run)
    with run.lock.hold(), pytest.raises(RunError, match="one"):
        check_can_start(options, is_restart=False)
    check_can_start(options, is_restart=False)
    with run.lock.hold():
        pass  # checking has released it


def test_a_folder_of_runs_that_cannot_be_written_is_a_usage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file"):
        check_can_start(JobOptions(tmp_path / "file" / "runs"), is_restart=False)
