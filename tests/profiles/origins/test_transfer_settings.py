"""The transfer section: what goes together."""


def test_a_run_starts_from_a_trained_model_where_it_names_one(load):
    assert not load("{}").transfer.is_enabled
    text = "transfer:\n  source: first\n  rename: [[a, b]]\n"
    assert load(text).transfer.is_enabled


def test_names_alone_and_two_origins_are_refused(load, refuse):
    assert "no effect without transfer.source" in str(refuse("transfer:\n  rename: [[a, b]]\n"))
    assert "needs transfer.source" in str(refuse("training:\n  lora_rank: 8\n"))
    light = "transfer:\n  source: first\ntraining:\n  lora_rank: 8\n"
    assert load(light).training.lora_rank == 8
    assert "fsdp" in str(refuse(light + "runtime:\n  sharding: fsdp\n"))
    both = "transfer:\n  source: first\ndistillation:\n  teacher: first\n"
    error = refuse(both + "evaluation:\n  loss_every: 0\n")
    assert "contradict each other" in str(error)
