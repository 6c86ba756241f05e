"""The held-out loss of a run: refused where it is needed and impossible, built where it is not."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from iddm_cli.build import loss_evaluation
from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.loss_evaluation import build_held_out_loss, check_best_metric, check_held_out
from iddm_cli.errors import DatasetError, UsageError
from tests.build.profiles import tiny_profile
from tests.engine.monitoring.losses import make_images

LONG = {"steps": 1000, "epochs": None, "batch_size": 8}
SHORT = {"steps": 10, "epochs": None, "batch_size": 8}
STOP, BEST = {"stop_when": "held_out_worse"}, {"keep_best": "held_out_loss"}


def pack(count: int, held: int | None) -> SimpleNamespace:
    """Return what is used of a pack."""
    others = None if held is None else pack(held, None)
    return SimpleNamespace(count=count, labels=np.arange(count) % 3, held_out=others)


@pytest.mark.parametrize("changes", [STOP, BEST], ids=str)
def test_without_held_out_images_what_needs_them_is_refused(changes):
    profile = tiny_profile(training={**LONG, **changes})
    name = next(iter(changes))
    with pytest.raises(DatasetError, match=f"training.{name}: .* needs held-out images") as error:
        check_held_out(profile, pack(100, None))
    assert f"training.{name}=null" in error.value.hint
    check_held_out(profile, pack(100, 10))


@pytest.mark.parametrize("changes", [STOP, BEST], ids=str)
def test_a_training_without_a_single_evaluation_is_refused_unless_the_user_chose_one(changes):
    profile = tiny_profile(training={**SHORT, **changes})
    with pytest.raises(UsageError, match="in 10 steps of 8 images one evaluation takes more than"):
        check_held_out(profile, pack(100, 10))
    chosen = tiny_profile(training={**SHORT, **changes}, evaluation={"loss_every": 5})
    check_held_out(chosen, pack(100, 10))


def test_a_training_that_needs_none_is_not_refused():
    for training in (LONG, SHORT, {**LONG, "keep_best": "loss"}):
        check_held_out(tiny_profile(training=training), pack(100, None))


def keep_best(metric: str, count: int = 500):
    evaluation = {"every": 5, "count": count}
    return tiny_profile(training={**LONG, "keep_best": metric}, evaluation=evaluation)


def with_classes(found: SimpleNamespace, *classes: str) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(found), "classes": classes})


def test_a_best_metric_that_would_never_be_measured_is_refused():
    flat, sorted_ = (with_classes(pack(100, 60), *classes) for classes in ("", "ab"))
    with pytest.raises(DatasetError, match="agreement needs images of at least two classes"):
        check_best_metric(keep_best("agreement"), flat)
    check_best_metric(keep_best("agreement"), sorted_)
    with pytest.raises(UsageError, match="there are 40 generated and 60 real ones"):
        check_best_metric(keep_best("frechet", 40), sorted_)
    with pytest.raises(UsageError, match="there are 500 generated and 8 real ones"):
        check_best_metric(keep_best("mind"), with_classes(pack(100, 8), "a"))
    check_best_metric(keep_best("mind", 40), flat)
    for metric in ("copies", "loss", "held_out_loss"):
        check_best_metric(keep_best(metric, 1), flat)


def test_it_is_built_on_the_held_out_images_and_the_store_of_the_training(monkeypatch):
    training, opened = make_images(20), make_images(10, seed=6)
    monkeypatch.setattr(
        loss_evaluation, "build_training_store", lambda profile, pack, *_: opened.store
    )
    profile = tiny_profile(training={**LONG, "seed": 4})
    compute = ComputeContext(torch.device("cpu"), "fp32")
    loss = build_held_out_loss(profile, pack(20, 10), training, compute)
    assert loss.sets["training_loss"].store is training.store
    assert loss.sets["held_out_loss"].store is opened.store
    assert loss.sets["held_out_loss"].labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert (loss.seed, loss.size, loss.available) == (4, (16, 16), 10)


def test_none_is_built_without_images_or_where_it_is_disabled():
    training, compute = make_images(20), ComputeContext(torch.device("cpu"), "fp32")
    assert build_held_out_loss(tiny_profile(), pack(20, None), training, compute) is None
    disabled = tiny_profile(evaluation={"loss_every": 0})
    assert build_held_out_loss(disabled, pack(20, 10), training, compute) is None
