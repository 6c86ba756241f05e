"""An imported run gets its dataset once: with the classes that the model knows."""

from dataclasses import replace

import pytest

from iddm_cli.data.packs.held_out import SHARE, HeldOutFacts
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.overrides import Override
from iddm_cli.runs.registry import create_run
from iddm_cli.runs.run import Run, encode_json
from iddm_cli.workflows.training.attach_dataset import (
    align_classes,
    describe_difference,
    describe_other_held_out,
    has_dataset,
    record_dataset,
    require_dataset,
)
from tests.workflows.packs import make_pack


@pytest.fixture
def imported(tmp_path) -> Run:
    files = {"profile.yaml": b"", "dataset.json": encode_json({"digest": None, "classes": {}})}
    return create_run(tmp_path, "one", files)


def test_labels_follow_the_order_of_the_runs_classes():
    before, after = ("cat", "dog", "eel"), ("dog", "eel", "cat")
    labels = (0, 1, 1, 2)
    pack = align_classes(make_pack(before, labels), after, "one")
    assert pack.classes == after
    assert [after[label] for label in pack.labels] == [before[label] for label in labels]
    same = make_pack()
    assert align_classes(same, same.classes, "one") is same


@pytest.mark.parametrize("classes", [(), ("cat",), ("cat", "dog", "eel"), ("cat", "Dog")])
def test_other_classes_are_refused_by_name(classes):
    with pytest.raises(DatasetError, match="these images have cat, dog"):
        align_classes(make_pack(), classes, "one")


def test_a_long_list_of_classes_is_cut():
    many = tuple(f"c{i}" for i in range(13))
    with pytest.raises(DatasetError, match=r"c11, \.\.\., and these"):
        align_classes(make_pack(), many, "one")


def test_the_dataset_is_recorded_once(imported):
    assert not has_dataset(imported)
    record_dataset(imported, make_pack(digest="first"), "a")
    assert has_dataset(imported)
    record_dataset(imported, make_pack(digest="second"), "b")
    document = imported.read_json("dataset.json")
    assert (document["digest"], document["path"]) == ("first", "a")
    assert document["classes"] == {"cat": 1, "dog": 2}


def test_an_imported_run_needs_the_path_of_its_images(imported):
    require_dataset(imported, [Override("data.path", "x", "--set")])
    with pytest.raises(DatasetError, match="run one was imported") as refused:
        require_dataset(imported, [Override("training.steps", 5, "--set")])
    assert "--set data.path=FOLDER" in refused.value.hint


def test_it_is_reported_where_the_held_out_images_come_from_and_that_they_changed(imported):
    kept = make_pack(digest="kept")
    share = replace(make_pack(), held_out=kept, held_out_facts=HeldOutFacts(SHARE))
    record_dataset(imported, share, "a")
    dataset = imported.read_json("dataset.json")
    assert describe_other_held_out(imported, share) == ""
    assert "held out" not in describe_difference(dataset, share)
    part = replace(share, held_out=make_pack(digest="x"), held_out_facts=HeldOutFacts("val"))
    assert "there are 3 now; held out: share → val" in describe_difference(dataset, part)
    assert "have changed (3, now 3)" in describe_other_held_out(imported, part)
    older = {key: value for key, value in dataset.items() if key != "held_out"}
    assert "held out: off → share" in describe_difference(older, share)
    imported.write_json("dataset.json", older)
    assert describe_other_held_out(imported, make_pack()) == ""
