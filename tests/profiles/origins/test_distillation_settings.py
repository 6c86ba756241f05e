"""The distillation section: off by default, and what it rules out."""


def test_a_run_is_distilled_where_it_has_a_teacher(load):
    assert not load("").distillation.is_enabled
    text = "distillation:\n  teacher: first\nevaluation:\n  loss_every: 0\n"
    assert load(text).distillation.is_enabled


def test_an_interval_of_guidance_has_its_low_end_first(refuse):
    text = "distillation:\n  guidance_interval: [0.8, 0.2]\n"
    assert "of distillation.guidance_interval, 0.8, must not exceed" in refuse(text).problem


def test_a_distilled_run_has_no_held_out_loss(refuse):
    error = refuse("distillation:\n  teacher: first\n")
    assert "a distilled run has no held-out loss" in error.problem
    assert "evaluation.loss_every: 0" in error.hint
