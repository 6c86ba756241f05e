"""Trajectories: which steps and which images are recorded."""

import torch

from iddm_cli.engine.image_generator import SampleSpec
from iddm_cli.engine.sampling.trajectories import TrajectoryRecorder, choose_steps
from tests.engine.test_image_generator import build_image_generator


def test_steps_are_spread_evenly_with_the_first_and_the_last():
    assert choose_steps(5, 60) == [0, 1, 2, 3, 4]
    assert choose_steps(101, 5) == [0, 25, 50, 75, 100]
    steps = choose_steps(1000, 60)
    assert (len(set(steps)), steps[0], steps[-1]) == (60, 0, 999)


def test_only_chosen_images_and_steps_are_kept_and_given_away_once():
    recorder = TrajectoryRecorder(["b"], steps=3, most=2)
    for step in range(3):
        x = torch.tensor([1.0, 2.0])[:, None, None, None] + 10 * step
        recorder.record(["a", "b"], step, x, -x)
    way = recorder.take("b")
    assert [float(x) for x in way.x_t] == [2, 22]
    assert [float(x) for x in way.denoised] == [-2, -22]
    assert recorder.take("a") is recorder.take("b") is None


def test_recording_changes_no_image_and_leads_to_it():
    generator = build_image_generator(steps=4)
    specs = [SampleSpec(0, 0), SampleSpec(1, 1)]
    recorder = TrajectoryRecorder(specs[1:], steps=4, most=10)
    found = [s.pixels for s in generator.generate(specs, seed=0, batch_size=2, recorder=recorder)]
    plain = [s.pixels for s in generator.generate(specs, seed=0, batch_size=2)]
    assert all(torch.equal(a, b) for a, b in zip(found, plain, strict=True))
    way = recorder.take(specs[1])
    assert len(way.x_t) == len(way.denoised) == 4
    assert way.x_t[0].std() > 0.8, "it begins with noise"
    # ddim's last step ends at the last estimate
    levels = (way.denoised[-1].clamp(-1, 1) + 1) * 127.5
    assert (levels.permute(1, 2, 0) - found[1]).abs().max() <= 1
