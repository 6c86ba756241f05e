"""The summary of what a new run takes from a trained model."""

from dataclasses import replace

from iddm_cli.workflows.transferring.transfer_plan import plan_transfer
from iddm_cli.workflows.transferring.transfer_summary import (
    advise_balance,
    summarize_transfer,
)
from tests.build.profiles import TINY, tiny_profile
from tests.workflows.packs import make_pack
from tests.workflows.transferring.test_transfer_plan import make_source


def summarize(tmp_path, classes, **changes) -> list[tuple[str, str]]:
    return summarize_transfer(
        plan_transfer(make_source(tmp_path), tiny_profile(**changes), classes)
    )


def test_it_names_what_is_carried_over_new_and_left_out(tmp_path):
    rename = {"source": "pets", "rename": [["dog", "wolf"]]}
    assert summarize(tmp_path, ("wolf", "cow"), transfer=rename) == [
        ("starts from", "pets, step 5, average weights"),
        ("carried over", "wolf (was dog)"),
        ("new", "cow: untrained, and told apart from the others"),
        ("left out", "cat"),
    ]


def test_it_says_where_all_classes_go_and_what_else_changes(tmp_path):
    data = {"channels": 1, "image_size": 32}
    rows = summarize(tmp_path, (), data=data, diffusion={"noise_shift": 3.0})
    assert rows[1:] == [
        ("left out", "all classes; the network is as it was without a label"),
        ("changed", "data.image_size 16 → 32"),
        ("changed", "data.channels 3 → 1: the network averages its colours, so grey images mean "
         "the same"),
        ("changed", "diffusion.noise_shift 1.0 → 3.0: the network adapts to the other noise "
         "levels"),
    ]  # fmt: skip


def test_it_says_that_positions_are_new(tmp_path):
    data = {"channels": 3, "crop": 16, "crop_position": True}
    assert summarize(tmp_path, ("cat",), data=data)[-1] == (
        "changed",
        "data.crop_position false → true: the network starts as one that knows no positions",
    )


def test_a_rare_new_class_is_to_be_balanced(tmp_path):
    pack = make_pack(("dog", "cow"), labels=[0] * 38 + [1] * 2)
    plan = plan_transfer(make_source(tmp_path), tiny_profile(), pack.classes)
    said = advise_balance(plan, pack)
    assert "cow has 2 of 40 images, 3.2 in each batch of 64" in said
    assert "--set data.balance=1" in said
    assert advise_balance(plan, make_pack(("dog", "cow"), labels=[0, 1, 1, 0])) == ""
    data = {"channels": 3, "image_size": 16, "balance": 0.5}
    assert advise_balance(replace(plan, profile=tiny_profile(data=data)), pack) == ""


def test_it_names_the_levels_that_are_kept_and_those_that_are_new(tmp_path):
    data = {"channels": 3, "image_size": 32}
    for name in ("levels", "patches"):
        (tmp_path / name).mkdir()
    larger = {**TINY, "channel_multipliers": [1, 1, 2], "attention_levels": [2]}
    rows = dict(summarize(tmp_path / "levels", ("cat",), data=data, model=larger))
    assert rows["levels kept"].startswith("0 as 1, 1 as 2")
    assert rows["levels new"].startswith("0 (32 x 32), and the last layer")
    rows = summarize(
        tmp_path,
        ("cat",),
        data=data,
        model={**TINY, "patch_size": 2},
        diffusion={"noise_shift": 2.0},
    )
    assert dict(rows)["grown"].startswith("patches of 2 x 2 pixels instead of 1 x 1")
    shifted = "diffusion.noise_shift 1.0 → 2.0: hides as much of the larger images as before"
    assert ("changed", shifted) in rows
