"""Settings that take less memory: valid, and those that change least come first."""

from iddm_cli.workflows.planning.smaller import iter_other_networks, iter_same_results
from tests.build.profiles import TINY, tiny_profile


def test_other_networks_are_valid_and_patches_come_first():
    data = {"channels": 3, "image_size": [16, 32]}
    model = {**TINY, "attention_levels": [0, 1]}
    proposals = dict(iter_other_networks(tiny_profile(data=data, model=model)))
    assert list(proposals)[:3] == [
        ("model.patch_size=2",), ("model.patch_size=4",), ("model.attention_levels=[1]",)
    ]  # fmt: skip
    assert proposals["data.image_size=[8,16]",].data.size == (8, 16)
    narrower = dict(iter_other_networks(tiny_profile()))
    assert narrower["model.base_channels=4",].model.base_channels == 4
    assert ("model.base_channels=2",) not in narrower, "its channels cannot be divided into groups"
    both = proposals["model.patch_size=2", "training.recompute=blocks"]
    assert (both.model.patch_size, both.training.recompute) == (2, "blocks")


def test_a_transformer_has_larger_patches_and_no_levels():
    model = {"network": "dit", "width": 16, "head_channels": 8, "patch_size": 2}
    keys = [change for change, _ in iter_other_networks(tiny_profile(model=model))]
    assert keys[:2] == [("model.patch_size=4",), ("model.patch_size=8",)]
    assert not any("attention" in setting for change in keys for setting in change)


def test_the_same_weights_result_from_micro_batches_and_from_recomputing():
    plain, recomputing = (tiny_profile(training={"recompute": name}) for name in ("none", "blocks"))
    assert [settings for settings, _ in iter_same_results(plain)] == [
        (), ("training.recompute=blocks",)
    ]  # fmt: skip
    assert [settings for settings, _ in iter_same_results(recomputing)] == [()]
