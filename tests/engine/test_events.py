"""What a run tells and leaves: figures of the log, grids, and which weights are in which file."""

import time

import pytest
import torch
from safetensors.torch import load_file

from iddm_cli.checkpoints.events import Saved
from iddm_cli.engine.events import Logged, SamplesGenerated, Stepped, Stopped
from iddm_cli.engine.monitoring.metrics import UpdateResult
from tests.engine.test_trainer import make, saved_at_once, stop_at


def logged(trainer) -> list[Logged]:
    return [event for event in trainer.fit() if isinstance(event, Logged)]


def test_a_line_has_the_mean_loss_and_the_largest_gradient_of_its_steps(tmp_path):
    trainer = make(tmp_path, steps=5, log_every=2, checkpoint_every=99, sample_every=0)
    losses, norms = [1.0, 3.0, 5.0, 9.0, 2.0], [4.0, 1.0, 2.0, 8.0, 0.5]
    results = [
        UpdateResult(torch.tensor(x), torch.tensor(y)) for x, y in zip(losses, norms, strict=True)
    ]
    trainer.train_step.update = results.__getitem__
    trainer.save = list
    assert [(line.step, line.loss, line.grad_norm) for line in logged(trainer)] == [
        (2, 2.0, 4.0),
        (4, 7.0, 8.0),
        (5, 2.0, 0.5),
    ]


@pytest.mark.parametrize("kept_from", [0, 2])
def test_lines_are_written_at_checkpoints_too_and_they_begin_at_the_step_asked(tmp_path, kept_from):
    trainer = make(tmp_path, log_every=99, checkpoint_from=kept_from, sample_every=0)
    saved_at_once(trainer)
    events = [(type(event), event.step) for event in trainer.fit() if type(event) is not Stepped]
    assert events == [(Logged, 2), (Saved, 2), (Logged, 4), (Saved, 4)]


def test_rates_count_pictures_and_seconds_go_on(tmp_path):
    first, second, third = logged(make(tmp_path, steps=6, log_every=2, sample_every=0))
    for earlier, later in ((first, second), (second, third)):
        taken = later.seconds - earlier.seconds
        assert later.images_per_second * taken == pytest.approx(2 * 8)


def test_drawing_does_not_count_as_training(tmp_path):
    def draw(average, step):
        time.sleep(0.5)
        return tmp_path

    second, fourth = logged(make(tmp_path, draw=draw, log_every=2))
    assert fourth.seconds - second.seconds < 0.5


def test_grids_are_drawn_from_the_average(tmp_path):
    drawn = []
    trainer = make(tmp_path, draw=lambda denoiser, step: drawn.append((denoiser, step)) or tmp_path)
    list(trainer.fit())
    assert drawn == [(trainer.state.ema.module, 2), (trainer.state.ema.module, 4)]


def test_each_file_holds_the_weights_of_its_name(tmp_path):
    trainer = make(tmp_path)
    saved = [event for event in trainer.fit() if isinstance(event, Saved)][-1]
    raw, average = (load_file(saved.path / f"{n}.safetensors") for n in ("model", "average"))
    for found, module in ((raw, trainer.train_step.denoiser), (average, trainer.state.ema.module)):
        wanted = module.backbone.state_dict()
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert any(not torch.equal(raw[name], average[name]) for name in raw)


def test_asked_to_stop_at_the_last_step_a_run_is_finished(tmp_path):
    trainer = make(tmp_path, draw=lambda average, step: tmp_path)
    events = list(trainer.fit(lambda: stop_at(trainer, 4)))
    assert [type(event) for event in events[-2:]] == [Saved, SamplesGenerated]


def test_a_stopped_run_draws_no_grid(tmp_path):
    trainer = make(tmp_path, steps=9, sample_every=1, draw=lambda average, step: tmp_path)
    saved_at_once(trainer)
    events = list(trainer.fit(lambda: stop_at(trainer, 3)))
    assert [type(event) for event in events[-3:]] == [Logged, Saved, Stopped]
    assert [event.step for event in events if isinstance(event, SamplesGenerated)] == [1, 2]


def test_a_run_that_died_before_its_last_grid_draws_just_that(tmp_path):
    trainer = make(tmp_path)
    list(trainer.fit())
    again = make(tmp_path, draw=lambda average, step: tmp_path)
    again.load(again.checkpoints.latest_valid()[0])
    assert list(again.fit()) == [SamplesGenerated(4, tmp_path)]


@pytest.mark.parametrize("part", ["model", "average", "optimizer"])
def test_every_part_is_put_back(tmp_path, part):
    trainer = make(tmp_path)
    list(trainer.fit())
    wanted = {name: t.clone() for name, t in trainer.state.tensors()[part].items()}
    again = make(tmp_path)
    again.load(again.checkpoints.at(4))
    found = again.state.tensors()[part]
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
