"""The evaluation section: a profile without it is one with its defaults, and changes no weights."""

from iddm_cli.profiles.loading import load_profile
from iddm_cli.profiles.overrides import check_resumable, parse_override, select_recipe


def test_a_profile_without_the_section_has_its_defaults(tmp_path):
    path = tmp_path / "old.yaml"
    path.write_text("training:\n  keep_best: loss\n")
    profile = load_profile(str(path), [])
    assert profile.evaluation.model_dump() == {
        "loss_every": "auto", "every": 0, "count": 500, "patience": 5,
    }  # fmt: skip
    assert profile.training.best_metric == "loss"


def test_no_setting_of_it_decides_the_weights_and_each_may_change_on_resume():
    plain = load_profile("demo", [])
    sets = ["evaluation.loss_every=3", "evaluation.every=9", "evaluation.count=7",
            "evaluation.patience=2", "training.stop_when=held_out_worse"]  # fmt: skip
    overrides = [parse_override(text) for text in sets]
    check_resumable(overrides)
    assert select_recipe(load_profile("demo", overrides)) == select_recipe(plain)


def test_a_stop_keeps_the_best_checkpoint_unless_another_metric_is_named():
    stop = parse_override("training.stop_when=held_out_worse")
    assert load_profile("demo", [stop]).training.best_metric == "held_out_loss"
    kept = parse_override("training.keep_best=loss")
    assert load_profile("demo", [stop, kept]).training.best_metric == "loss"
    assert load_profile("demo", []).training.best_metric is None
