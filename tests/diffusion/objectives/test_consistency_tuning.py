"""Consistency tuning, where the exact answer is known: images of independent normal pixels."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.guidance import find_guided_steps
from iddm_cli.diffusion.objectives import consistency_tuning
from iddm_cli.diffusion.objectives.consistency_tuning import (
    ConsistencyObjective,
    GuidedTeacher,
    pair_times,
    pseudo_huber,
    weigh_output,
)
from iddm_cli.diffusion.schedules import CLEAN, NoiseSchedule, cosine_schedule, linear_schedule
from iddm_cli.engine.image_generator import ImageGenerator
from iddm_cli.profiles.choices import PREDICTIONS
from iddm_cli.profiles.settings import SamplingSettings
from tests.diffusion.reference import ConstantBackbone

SPREAD = 0.4
MEANS = torch.tensor([0.3, -0.5, 0.0])
"""Mean of the images of each of two classes; of those without a label."""

NO_LABEL = 2
SCHEDULE = cosine_schedule(1000)
SHAPE = (1, 4, 4)


def denoise_exactly(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
    """Return the mean of x, given x_t."""
    alpha, sigma = SCHEDULE.at(t)
    mean = MEANS[label].view(-1, 1, 1, 1)
    return mean + alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + sigma**2) * (x_t - alpha * mean)


def find_end_exactly(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
    """Return the clean end of the path through x_t: its place in the distribution is kept."""
    alpha, sigma = SCHEDULE.at(t)
    mean = MEANS[label].view(-1, 1, 1, 1)
    return mean + SPREAD / (alpha**2 * SPREAD**2 + sigma**2).sqrt() * (x_t - alpha * mean)


class Exact(nn.Module):
    """A function as a network that predicts x, with one weight that spoils it; none at t = 0."""

    def __init__(self, function, error: float = 0.0) -> None:
        super().__init__()
        self.function = function
        self.error = nn.Parameter(torch.tensor(error))

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        return self.function(x_t, t, label) + self.error * SCHEDULE.at(t)[1] * x_t


def make_denoiser(function, error: float = 0.0) -> Denoiser:
    return Denoiser(Exact(function, error), SCHEDULE, prediction="x")


def make_objective(
    *, guidance: float = 1.0, stage_steps: int = 1, **more: object
) -> ConsistencyObjective:
    """Return the objective with the exact teacher."""
    teacher = make_denoiser(denoise_exactly).requires_grad_(False)
    guided = GuidedTeacher(teacher, guidance, no_label=NO_LABEL, clip=False, **more)
    return ConsistencyObjective(guided, stage_steps=stage_steps, clip=False)


def make_batch(count: int = 64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    label = torch.arange(count) % 2
    mean = MEANS[label].view(-1, 1, 1, 1)
    return {
        "x": mean + SPREAD * torch.randn(count, *SHAPE, generator=generator),
        "t": torch.arange(count) * len(SCHEDULE) // count,
        "noise": torch.randn(count, *SHAPE, generator=generator),
        "label": label,
    }


def compute(objective: ConsistencyObjective, denoiser: Denoiser, step: int) -> Tensor:
    return objective.losses(denoiser, **make_batch(), target=denoiser, step=step).mean()


def test_the_exact_consistency_function_has_no_loss():
    student, objective = make_denoiser(find_end_exactly), make_objective()
    with torch.no_grad():
        losses = [float(compute(objective, student, stage - 1)) for stage in range(1, 12)]
        other = float(compute(objective, make_denoiser(denoise_exactly), 10))
    assert all(later <= earlier for earlier, later in itertools.pairwise(losses))
    assert losses[-1] < 1e-5, "what is left is the error of the teacher's steps"
    assert other > 20 * losses[-1], "of a denoiser, which is not one"


@pytest.mark.parametrize("error", [-0.3, 0.3])
@pytest.mark.parametrize("stage", [3, 6])
def test_the_gradient_points_to_the_exact_consistency_function(error, stage):
    student = make_denoiser(find_end_exactly, error)
    compute(make_objective(), student, stage - 1).backward()
    assert float(student.backbone.error.grad) * error > 0


def test_guidance_moves_the_paths_by_the_teachers_guided_step():
    batch = make_batch()
    alpha, sigma = SCHEDULE.at(batch["t"])
    x_t = alpha * batch["x"] + sigma * batch["noise"]
    unlabelled = torch.full_like(batch["label"], NO_LABEL)
    plain = denoise_exactly(x_t, batch["t"], unlabelled)
    denoised = plain + 3 * (denoise_exactly(x_t, batch["t"], batch["label"]) - plain)
    r = pair_times(SCHEDULE, 4)[batch["t"]]
    alpha_r, sigma_r = SCHEDULE.at(r)
    x_r = alpha_r * denoised + sigma_r * (x_t - alpha * denoised) / sigma
    seen = {}

    class Target(nn.Module):
        def forward(self, x_t, t, label):
            seen.update(x_t=x_t, t=t)
            return x_t

    objective = make_objective(guidance=3.0)
    target = Denoiser(Target(), SCHEDULE, prediction="x")
    objective.losses(make_denoiser(find_end_exactly), **batch, target=target, step=3)
    torch.testing.assert_close(seen["x_t"], x_r)
    assert torch.equal(seen["t"], r.clamp(min=0))


@pytest.mark.parametrize("clip", [False, True])
def test_the_teacher_guides_each_image_as_a_sampler_would_at_its_time(clip):
    """The interval and the rescaling are those of sampling, where all images have one time."""
    settings = SamplingSettings(
        guidance=3.0, guidance_interval=[0.3, 0.9], guidance_rescale=0.7, clip=clip
    )
    main = make_denoiser(denoise_exactly).requires_grad_(False)
    generator = ImageGenerator(main, settings, num_classes=NO_LABEL, shape=SHAPE)
    teacher = GuidedTeacher(
        main, 3.0, no_label=NO_LABEL, clip=clip, interval=[0.3, 0.9], rescale=0.7
    )
    batch = make_batch()
    found = teacher.denoise(batch["noise"], batch["t"], batch["label"])
    rows = [
        generator.denoise(*(batch[key][row : row + 1] for key in ("noise", "t", "label")))
        for row in range(len(found))
    ]
    torch.testing.assert_close(found, torch.cat(rows))
    plain = GuidedTeacher(main, 3.0, no_label=NO_LABEL, clip=clip)
    assert not torch.allclose(plain.denoise(batch["noise"], batch["t"], batch["label"]), found)


def test_outside_the_interval_the_teacher_makes_one_pass():
    sizes = []

    def count(x_t, t, label):
        sizes.append(len(x_t))
        return denoise_exactly(x_t, t, label)

    teacher = GuidedTeacher(make_denoiser(count), 3.0, no_label=NO_LABEL, interval=[0.3, 0.9])
    batch = make_batch()
    teacher.denoise(batch["noise"], batch["t"], batch["label"])
    share = find_guided_steps(SCHEDULE, batch["t"].tolist(), [0.3, 0.9])
    assert sizes == [len(share) + sum(share)]
    objective = ConsistencyObjective(teacher, stage_steps=1)
    assert objective.extra_passes == pytest.approx(2 + sum(share) / len(share), abs=0.02)
    assert make_objective(guidance=3.0).extra_passes == 3


def test_without_a_teacher_the_data_links_a_path():
    batch, seen = make_batch(), {}

    class Target(nn.Module):
        def forward(self, x_t, t, label):
            seen.update(x_t=x_t)
            return x_t

    r = pair_times(SCHEDULE, 2)[batch["t"]]
    alpha, sigma = SCHEDULE.at(r)
    objective = ConsistencyObjective(None, stage_steps=2)
    target = Denoiser(Target(), SCHEDULE, prediction="x")
    objective.losses(make_denoiser(find_end_exactly), **batch, target=target, step=2)
    torch.testing.assert_close(seen["x_t"], alpha * batch["x"] + sigma * batch["noise"])


def test_at_the_clean_end_the_loss_is_that_of_denoising():
    batch = make_batch()
    batch["t"] = torch.zeros_like(batch["t"])  # in the first stage their earlier time is clean
    student = make_denoiser(denoise_exactly)
    alpha, sigma = SCHEDULE.at(batch["t"])
    error = student(alpha * batch["x"] + sigma * batch["noise"], batch["t"], batch["label"])
    objective = ConsistencyObjective(None, stage_steps=1)
    losses = objective.losses(student, **batch, target=student, step=0)
    torch.testing.assert_close(losses, pseudo_huber(error - batch["x"]))


def test_only_the_estimate_at_the_later_time_has_a_gradient():
    student, target = (make_denoiser(find_end_exactly, 0.1) for _ in range(2))
    objective = make_objective(guidance=2.0)
    objective.losses(student, **make_batch(), target=target, step=2).sum().backward()
    assert student.backbone.error.grad is not None
    assert target.backbone.error.grad is None
    assert objective.teacher.denoiser.backbone.error.grad is None


def test_autocast_keeps_the_gradient():
    """It caches rounded weights, without their gradient if the first pass has none."""
    network = nn.Conv2d(1, 1, 3, padding=1)

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x_t, t, label):
            return self.network(x_t)

    student = Denoiser(Wrapped(), SCHEDULE, prediction="v")
    objective = ConsistencyObjective(None, stage_steps=1)
    with torch.autocast("cpu", torch.bfloat16):
        losses = objective.losses(student, **make_batch(), target=student, step=1)
    losses.sum().backward()
    assert network.weight.grad is not None
    assert network.weight.grad.abs().min() > 0


@pytest.mark.parametrize("schedule", [cosine_schedule(1000), linear_schedule(50)])
@pytest.mark.parametrize("stage", [1, 2, 3, 5, 20])
def test_the_earlier_time_follows_the_papers_rule(schedule: NoiseSchedule, stage: int):
    r = pair_times(schedule, stage)
    t = torch.arange(len(schedule))
    level = (schedule.levels.sigma / schedule.levels.alpha).clamp(
        max=consistency_tuning.LARGEST_LEVEL
    )
    n = 1 + 8 / (1 + level.exp())
    wanted = level * (1 - n / 2**stage)
    own = torch.where(r == CLEAN, 0.0, level[r])
    assert ((own <= wanted) | (r == CLEAN) | (r == t - 1)).all()
    following = level[(r + 1).clamp(max=len(schedule) - 1)]
    assert ((following > wanted) | (r == t - 1)).all(), "and none later would do"
    assert (r < t).all()
    assert (r.diff() >= 0).all()


def test_stages_end_with_neighbouring_times():
    t = torch.arange(len(SCHEDULE))
    levels = SCHEDULE.levels.sigma / SCHEDULE.levels.alpha
    told_apart = levels < consistency_tuning.LARGEST_LEVEL
    assert torch.equal(pair_times(SCHEDULE, 20)[told_apart], t[told_apart] - 1)
    assert len(pair_times(SCHEDULE, 20)[~told_apart].unique()) == 1, "almost pure noise"
    counts = [(pair_times(SCHEDULE, stage) == CLEAN).sum() for stage in (1, 2, 3, 4)]
    assert counts == sorted(counts, reverse=True)


def test_a_stage_lasts_its_steps():
    student, objective = make_denoiser(find_end_exactly, 0.1), make_objective(stage_steps=3)
    with torch.no_grad():
        losses = [float(compute(objective, student, step)) for step in (*range(7), 0)]
    assert losses[0] == losses[1] == losses[2] != losses[3] == losses[5] != losses[6]
    assert losses[-1] == losses[0], "a function of the step alone"


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_no_prediction_amplifies_the_gradient_of_its_output(prediction):
    """Of the estimate of x by the output, times the weight: at most 1 at every time."""
    t = torch.arange(len(SCHEDULE))
    network = ConstantBackbone(torch.zeros(len(t), 1, 1, 1, requires_grad=True))
    denoiser = Denoiser(network, SCHEDULE, prediction=prediction)
    estimate = denoiser(torch.zeros(len(t), 1, 1, 1), t, torch.zeros_like(t))
    estimate.sum().backward()
    gradient = weigh_output(denoiser, t) * network.output.grad.abs().flatten()
    assert gradient.max() <= 1 + 1e-5
    assert (weigh_output(denoiser, t) == 1).all() == (prediction != "epsilon")


def test_pseudo_huber_is_the_square_for_small_errors_and_the_norm_for_large_ones():
    small, large = torch.full((1, 1, 8, 8), 1e-6), torch.full((1, 1, 8, 8), 2e3)
    assert float(pseudo_huber(small.double())) == pytest.approx(
        1e-12 / (2 * consistency_tuning.HUBER), rel=1e-4
    )
    assert float(pseudo_huber(large)) == pytest.approx(2e3 - consistency_tuning.HUBER, rel=1e-6)
