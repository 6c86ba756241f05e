"""What a new run takes from a trained model."""

from pathlib import Path

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.runs.run import Run
from iddm_cli.value_range import EIGHT_BIT, ValueRange
from iddm_cli.workflows.transferring.trained_source import TrainedSource
from iddm_cli.workflows.transferring.transfer_plan import (
    arrange_classes,
    describe_origin,
    find_source_values,
    iter_initial_files,
    plan_transfer,
)
from tests.build.profiles import tiny_profile
from tests.workflows.distilling.runs import make_run
from tests.workflows.distilling.test_teacher import save_checkpoint
from tests.workflows.packs import make_pack

DEEP = ValueRange("uint16", (0.0,), (4095.0,))


def make_source(tmp_path: Path, values=EIGHT_BIT, **changes) -> TrainedSource:
    path = make_run(tmp_path, **changes)
    save_checkpoint(path, 5, 0.5)
    return TrainedSource("pets", path, 5, ("dog", "cat"), values)


def test_the_dataset_gets_the_labels_of_the_trained_model(tmp_path):
    pack = arrange_classes(make_pack(), make_source(tmp_path), tiny_profile())
    assert pack.classes == ("dog", "cat")
    assert pack.labels.tolist() == [1, 0, 0]


def test_its_files_are_a_checkpoint_of_step_0_and_its_origin_is_recorded(tmp_path):
    source = make_source(tmp_path)
    plan = plan_transfer(source, tiny_profile(), ("dog", "cat"))
    names = [name for name, _ in iter_initial_files(plan, Run(tmp_path), make_pack())]
    assert names == [
        f"checkpoints/step-00000000/{file}"
        for file in ("model.safetensors", "average.safetensors", "optimizer.safetensors",
                     "state.json")
    ]  # fmt: skip
    light = tiny_profile(training={"lora_rank": 2}, transfer={"source": "pets"})
    frozen = plan_transfer(source, light, ("dog", "cat", "cow"))
    pack = make_pack(("dog", "cat", "cow"))
    assert [name for name, _ in iter_initial_files(frozen, Run(tmp_path), pack)] == [
        "base.safetensors"
    ]
    assert describe_origin(frozen)["new_labels"] == [2]
    origin = describe_origin(plan)
    assert origin["sha256"] == source.open_weights().digest("average")
    assert (origin["run"], origin["step"], origin["path"]) == ("pets", 5, str(source.path))


def test_other_channels_are_refused_unless_one_side_is_grey(tmp_path):
    source = make_source(tmp_path)
    for channels, works in ((1, True), (3, True), (4, False)):
        profile = tiny_profile(data={"channels": channels, "image_size": 16})
        if works:
            plan_transfer(source, profile, ("cat",))
            continue
        with pytest.raises(UsageError, match="it has 3 channels, and these images have 4"):
            plan_transfer(source, profile, ("cat",))


def test_a_new_class_starts_as_no_label_where_that_was_trained(tmp_path):
    for drop, knows in ((0.1, True), (0.0, False)):
        changes = {"training": {"label_drop": drop}, "sampling": {"guidance": 1.0}}
        source = make_source(tmp_path / str(drop), **changes)
        assert plan_transfer(source, tiny_profile(), ("cat",)).mapping.knows_no_label is knows


def test_deep_images_keep_the_range_of_the_trained_model(tmp_path):
    profile = tiny_profile()
    assert find_source_values(make_source(tmp_path / "a"), profile) is None
    deep = make_source(tmp_path / "b", DEEP)
    assert find_source_values(deep, profile) == DEEP
    other = {"channels": 3, "image_size": 16, "value_range": [0.0, 100.0]}
    assert find_source_values(deep, tiny_profile(data=other)) is None
    grey = tiny_profile(data={"channels": 1, "image_size": 16})
    assert find_source_values(deep, grey) is None
