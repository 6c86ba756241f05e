"""The distillation section: off by default, and what it rules out."""


def test_a_run_is_distilled_where_it_has_a_teacher(load):
    assert not load("").distillation.is_enabled
    text = "distillation:\n  teacher: first\nevaluation:\n  loss_every: 0\n"
    assert load(text).distillation.is_enabled


def test_a_distilled_run_has_no_held_out_loss(refuse):
    error = refuse("distillation:\n  teacher: first\n")
    assert "a distilled run has no held-out loss" in error.problem
    assert "evaluation.loss_every: 0" in error.hint
